// What the library offers; `sleep_kernels.native.library` calls it by name.

#include <new>

#include "layers.h"
#include "rule.h"

// Nothing may be thrown through ctypes: 0 is done, 1 is out of memory, 2 anything else.
template <typename F>
int outcome_of(F&& work) {
    try {
        work();
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    } catch (...) {
        return 2;
    }
}

// One function for each kind of number: NAME_float and NAME_double, both of a pointer to STRUCT.
#define OFFER(NAME, STRUCT, WORK)                                        \
    int NAME##_float(const sleep::STRUCT<float>* call) {                 \
        return outcome_of([&] { sleep::WORK(*call); });                        \
    }                                                                    \
    int NAME##_double(const sleep::STRUCT<double>* call) {               \
        return outcome_of([&] { sleep::WORK(*call); });                        \
    }

extern "C" {

OFFER(rule_forward, Call, run_rule<false>)
OFFER(rule_backward, Call, run_rule<true>)
OFFER(short_forward, Convolution, run_short_forward)
OFFER(short_backward, Convolution, run_short_backward)
OFFER(dynamic_forward, Convolution, run_dynamic<false>)
OFFER(dynamic_backward, Convolution, run_dynamic<true>)
OFFER(rms_forward, Rows, run_rms_forward)
OFFER(rms_backward, Rows, run_rms_backward)
OFFER(gate_forward, Rows, run_gate_forward)
OFFER(gate_backward, Rows, run_gate_backward)
OFFER(turn, Turn, run_turn)

// Sizes of the structures, for the caller to compare with its own.
int64_t size_of_call() { return sizeof(sleep::Call<float>); }
int64_t size_of_convolution() { return sizeof(sleep::Convolution<float>); }
int64_t size_of_rows() { return sizeof(sleep::Rows<float>); }
int64_t size_of_turn() { return sizeof(sleep::Turn<float>); }

}
