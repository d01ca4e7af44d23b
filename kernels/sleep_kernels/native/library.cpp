// What the library offers; `sleep_kernels.native.library` calls it by name.

#include "pointwise.h"
#include "rule.h"

// Nothing may be thrown through ctypes: 0 is done, 1 is out of memory.
template <typename F>
int told(F&& work) {
    try {
        work();
        return 0;
    } catch (...) {
        return 1;
    }
}

// One function for each kind of number: NAME_float and NAME_double, both of a pointer to STRUCT.
#define OFFER(NAME, STRUCT, WORK)                                        \
    int NAME##_float(const sleep::STRUCT<float>* call) {                 \
        return told([&] { sleep::WORK(*call); });                        \
    }                                                                    \
    int NAME##_double(const sleep::STRUCT<double>* call) {               \
        return told([&] { sleep::WORK(*call); });                        \
    }

extern "C" {

OFFER(rule_forward, Call, run_rule<false>)
OFFER(rule_backward, Call, run_rule<true>)
OFFER(short_forward, Short, run_short_forward)
OFFER(short_backward, Short, run_short_backward)
OFFER(dynamic_forward, Short, run_dynamic<false>)
OFFER(dynamic_backward, Short, run_dynamic<true>)
OFFER(rms_forward, Rows, run_rms_forward)
OFFER(rms_backward, Rows, run_rms_backward)
OFFER(gate_forward, Rows, run_gate_forward)
OFFER(gate_backward, Rows, run_gate_backward)
OFFER(turn, Turn, run_turn)

}
