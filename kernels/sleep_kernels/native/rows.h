// A call of a rule, what a thread works in, and what is done row by row before and after the rule:
// unit norms, gates, padding, output norm.

#pragma once

#include <algorithm>
#include <utility>

#include "parallel.h"
#include "vectors.h"

namespace sleep {

// One call; every pointer may be null but k, v and after. Strides count numbers; the last axis of
// each tensor, and the heads, lie side by side.
template <typename T>
struct Call {
    int64_t batch, tokens, heads, keys, values, threads;
    const T *q, *k, *v, *log_decay, *beta, *state, *rate, *bias, *weight, *gate;
    const uint8_t* valid;
    int64_t q_batch, q_token, k_batch, k_token, v_batch, v_token;
    int64_t log_decay_batch, log_decay_token, beta_batch, beta_token, gate_batch, gate_token;
    double scale, strength, eps;
    int64_t delta, normalise, gated;
    // out of the forward
    T *output, *after, *chunks;
    // into the backward
    const T *d_output, *d_after;
    // out of it; sums over batch and token are left to the caller, one row per (batch, head)
    T *d_q, *d_k, *d_v, *d_log_decay, *d_beta, *d_state, *d_rate, *d_bias, *d_weight, *d_gate;

    bool padding(int64_t b, int64_t t) const { return valid && !valid[b * tokens + t]; }
};

constexpr int APART = 4;                   // sums that a product over keys is added up in
constexpr int64_t CHUNK = SLEEP_CHUNK;     // tokens between two states that are handed out
constexpr int64_t KEPT_BYTES = 384 << 10;  // of S after every token: part of a second-level cache

// What one thread works in: pieces of one block of memory, each a multiple of 64 bytes.
template <typename T>
struct Scratch {
    T *q, *k, *a, *b, *q_rate, *k_rate, *rates, *state, *error, *kept, *starts;
    T *output, *d_output, *d_q, *d_k, *d_state, *d_a, *d_b, *d_a_lanes, *d_b_lanes;
    int64_t segment, segments, size = 0;

    // Lays the pieces out from `memory` on; from null, only to learn the size.
    Scratch(const Call<T>& c, int64_t KP, int64_t VP, bool backward, char* memory) {
        const int64_t t = c.tokens, line = Lanes<T>::count;
        // what fits the cache, but of a very long window no more than 256 parts
        const int64_t fits = KEPT_BYTES / int64_t(KP * VP * sizeof(T));
        segment = backward ? std::max<int64_t>({fits, 4, t / 256}) : t;
        segment = std::min(segment, t);
        segments = (t + segment - 1) / segment;
        const std::pair<T**, int64_t> both[] = {{&q, t * KP}, {&k, t * KP}, {&a, t}, {&b, t},
                                                {&q_rate, t}, {&k_rate, t}, {&rates, t},
                                                {&state, backward ? 0 : KP * VP}};
        const std::pair<T**, int64_t> back[] = {
            {&error, t * VP}, {&kept, (segment + 1) * KP * VP}, {&starts, segments * KP * VP},
            {&output, c.weight ? t * VP : 0}, {&d_output, t * VP}, {&d_q, t * KP},
            {&d_k, t * KP}, {&d_state, KP * VP}, {&d_a, t}, {&d_b, t}, {&d_a_lanes, t * line},
            {&d_b_lanes, t * line}};
        for (auto& piece : both) place(piece, memory);
        for (auto& piece : back)
            if (backward) place(piece, memory);
    }

  private:
    void place(const std::pair<T**, int64_t>& piece, char* memory) {
        *piece.first = memory ? reinterpret_cast<T*>(memory + size) : nullptr;
        size += upward(piece.second * sizeof(T), 64);
    }
};

// Rows of q or k into scratch, padded with zeros, brought to unit norm if asked for.
template <typename T>
void load_rows(const T* from, int64_t apart, int64_t tokens, int64_t keys, int64_t KP,
               bool normalise, T* to, T* rates) {
    constexpr int64_t line = Lanes<T>::count;
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < KP; i += line)
            store(to + t * KP + i, load_some(from + t * apart + i, keys - i));
    if (!normalise) return;
    sums_of<T>(tokens, rates, [&](int64_t t) SLEEP_INLINE {
        Vec<T> square = {};
        for (int64_t i = 0; i < KP; i += line) {
            Vec<T> x = load(to + t * KP + i);
            square += x * x;
        }
        return square;
    });
    for (int64_t t = 0; t < tokens; t += line)
        store(rates + t, 1 / root(load(rates + t) + T(1e-6)));
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < KP; i += line)
            store(to + t * KP + i, load(to + t * KP + i) * rates[t]);
}

// One head's numbers for every token, side by side; zeros after the last.
template <typename T>
void gather(const T* from, int64_t apart, int64_t tokens, T* to) {
    for (int64_t t = 0; t < tokens; ++t) to[t] = from[t * apart];
    std::fill(to + tokens, to + upward(tokens, Lanes<T>::count), T(0));
}

// a and b of every token. `exp` of -inf is 0, of float numbers below its range too.
template <typename T>
void gates(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head) {
    constexpr int64_t line = Lanes<T>::count;
    std::fill_n(s.a, c.tokens, T(1));
    std::fill_n(s.b, c.tokens, T(1));
    if (c.log_decay) {
        gather(c.log_decay + batch * c.log_decay_batch + head, c.log_decay_token, c.tokens, s.a);
        const T rate = c.gated ? std::exp(c.rate[head]) : T(0);
        for (int64_t t = 0; t < c.tokens; t += line) {
            Vec<T> g = load(s.a + t);
            if (c.gated) g = -rate * softplus(g + c.bias[head]);
            store(s.a + t, exp_of(g));
        }
    }
    if (c.beta) {
        gather(c.beta + batch * c.beta_batch + head, c.beta_token, c.tokens, s.b);
        for (int64_t t = 0; c.gated && t < c.tokens; t += line)
            store(s.b + t, T(c.strength) * sigmoid(load(s.b + t)));
    }
}

// What the rule itself is given: unit keys and queries, a and b, padding written as no write.
template <typename T>
void prepare(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head, int64_t KP) {
    gates(c, s, batch, head);
    if (c.q)
        load_rows(c.q + batch * c.q_batch + head * c.keys, c.q_token, c.tokens, c.keys, KP,
                  c.normalise, s.q, s.q_rate);
    load_rows(c.k + batch * c.k_batch + head * c.keys, c.k_token, c.tokens, c.keys, KP,
              c.normalise, s.k, s.k_rate);
    for (int64_t t = 0; c.valid && t < c.tokens; ++t) {
        if (!c.padding(batch, t)) continue;
        std::fill_n(s.k + t * KP, KP, T(0));
        s.k_rate[t] = 0, s.a[t] = 1, s.b[t] = 0;
    }
}

// 1 / sqrt(mean o^2 + eps) of every token's output, row t of which begins at `o + t * apart`.
template <typename T>
void root_rates(const Call<T>& c, const T* o, int64_t apart, T* rates) {
    constexpr int64_t line = Lanes<T>::count;
    sums_of<T>(c.tokens, rates, [&](int64_t t) SLEEP_INLINE {
        Vec<T> square = {};
        for (int64_t j = 0; j < c.values; j += line) {
            Vec<T> x = load_some(o + t * apart + j, c.values - j);
            square += x * x;
        }
        return square;
    });
    for (int64_t t = 0; t < c.tokens; t += line)
        store(rates + t, 1 / root(load(rates + t) / T(c.values) + T(c.eps)));
}

// Gated RMSNorm of the output rows of a pair, in place: `o rho w SiLU(gate)`.
template <typename T>
void norm_output(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head) {
    T* first = c.output + (batch * c.tokens * c.heads + head) * c.values;
    root_rates(c, first, c.heads * c.values, s.rates);
    for (int64_t t = 0; t < c.tokens; ++t) {
        T* o = first + t * c.heads * c.values;
        const T* gate = c.gate + batch * c.gate_batch + t * c.gate_token + head * c.values;
        for (int64_t j = 0; j < c.values; j += Lanes<T>::count) {
            const int64_t left = c.values - j;
            Vec<T> x = load_some(o + j, left) * s.rates[t], g = load_some(gate + j, left);
            store_some(o + j, x * load_some(c.weight + j, left) * (g * sigmoid(g)), left);
        }
    }
}

// Gradient of the output itself, times scale, from that of what was returned.
template <typename T>
void unnorm_output(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head, int64_t VP) {
    constexpr int64_t line = Lanes<T>::count;
    const int64_t pair = (batch * c.tokens * c.heads + head) * c.values;
    const int64_t apart = c.heads * c.values;
    if (!c.weight) {
        for (int64_t t = 0; t < c.tokens; ++t)
            for (int64_t j = 0; j < VP; j += line)
                store(s.d_output + t * VP + j,
                      T(c.scale) * load_some(c.d_output + pair + t * apart + j, c.values - j));
        return;
    }
    T* d_weight = c.d_weight + (batch * c.heads + head) * c.values;
    std::fill_n(d_weight, c.values, T(0));
    root_rates(c, s.output, VP, s.rates);
    for (int64_t t = 0; t < c.tokens; ++t) {
        const int64_t row = pair + t * apart;
        const T* gate = c.gate + batch * c.gate_batch + t * c.gate_token + head * c.values;
        for (int64_t j = 0; j < VP; j += line) {
            const int64_t left = c.values - j;
            Vec<T> up = load_some(c.d_output + row + j, left), g = load_some(gate + j, left);
            Vec<T> w = load_some(c.weight + j, left);
            Vec<T> x = load(s.output + t * VP + j) * s.rates[t];
            Vec<T> open = sigmoid(g), silu = g * open;
            store_some(c.d_gate + row + j, up * x * w * (open + silu * (1 - open)), left);
            store_some(d_weight + j, load_some(d_weight + j, left) + up * x * silu, left);
            store(s.output + t * VP + j, x);
            store(s.d_output + t * VP + j, up * w * silu);
        }
    }
    sums_of<T>(c.tokens, s.d_b, [&](int64_t t) SLEEP_INLINE {  // d_b is still empty
        Vec<T> along = {};
        for (int64_t j = 0; j < VP; j += line)
            along += load(s.d_output + t * VP + j) * load(s.output + t * VP + j);
        return along;
    });
    for (int64_t t = 0; t < c.tokens; ++t) {
        const T shared = s.d_b[t] / T(c.values), by = T(c.scale) * s.rates[t];
        for (int64_t j = 0; j < VP; j += line) {
            T* d_o = s.d_output + t * VP + j;
            store(d_o, by * (load(d_o) - load(s.output + t * VP + j) * shared));
        }
    }
}

// Gradients of rows of q or k before they were brought to unit norm; `sums` is room for a number
// a token. A row whose rate is 0 (padding) gets zeros.
template <typename T>
void store_rows(const T* d_rows, const T* rows, const T* rates, int64_t tokens, int64_t keys,
                int64_t KP, bool normalise, T* sums, T* to, int64_t apart) {
    constexpr int64_t line = Lanes<T>::count;
    if (normalise)
        sums_of<T>(tokens, sums, [&](int64_t t) SLEEP_INLINE {
            Vec<T> along = {};
            for (int64_t i = 0; i < KP; i += line)
                along += load(d_rows + t * KP + i) * load(rows + t * KP + i);
            return along;
        });
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < keys; i += line) {
            Vec<T> d = load(d_rows + t * KP + i);
            if (normalise) d = rates[t] * (d - load(rows + t * KP + i) * sums[t]);
            store_some(to + t * apart + i, d, keys - i);
        }
}

// Gradients of what the gates were made from; s.d_a holds those of log a.
template <typename T>
void finish_gates(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head) {
    constexpr int64_t line = Lanes<T>::count;
    const int64_t first = batch * c.tokens * c.heads + head;
    for (int64_t t = 0; t < c.tokens; ++t)
        if (c.padding(batch, t)) s.d_a[t] = s.d_b[t] = 0;
    if (c.d_beta) {
        const T strength = T(c.strength);
        for (int64_t t = 0; t < c.tokens; ++t) {
            const T b = s.b[t], by = c.gated && b != 0 ? b * (1 - b / strength) : T(!c.gated);
            c.d_beta[first + t * c.heads] = by * s.d_b[t];
        }
    }
    if (!c.d_log_decay) return;
    if (c.gated) {
        const T rate = std::exp(c.rate[head]);
        Vec<T> d_rate = {}, d_bias = {};
        gather(c.log_decay + batch * c.log_decay_batch + head, c.log_decay_token, c.tokens, s.a);
        for (int64_t t = 0; t < c.tokens; t += line) {
            const Vec<T> x = load(s.a + t) + c.bias[head], d_log = load(s.d_a + t);
            const Vec<T> d_x = -rate * sigmoid(x) * d_log;
            const Vec<T> of_rate = -rate * softplus(x) * d_log;
            d_rate += d_log == 0 ? Vec<T>{} : of_rate;  // in padding, x may be anything
            d_bias += d_log == 0 ? Vec<T>{} : d_x;
            store(s.d_a + t, d_log == 0 ? Vec<T>{} : d_x);
        }
        c.d_rate[batch * c.heads + head] = sum<T>(d_rate);
        c.d_bias[batch * c.heads + head] = sum<T>(d_bias);
    }
    for (int64_t t = 0; t < c.tokens; ++t) c.d_log_decay[first + t * c.heads] = s.d_a[t];
}

template <typename T>
void finish(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head, int64_t KP) {
    constexpr int64_t line = Lanes<T>::count;
    const int64_t first = (batch * c.tokens * c.heads + head) * c.keys;
    const int64_t apart = c.heads * c.keys;
    if (c.d_q)
        store_rows(s.d_q, s.q, s.q_rate, c.tokens, c.keys, KP, c.normalise, s.rates, c.d_q + first,
                   apart);
    store_rows(s.d_k, s.k, s.k_rate, c.tokens, c.keys, KP, c.normalise, s.rates, c.d_k + first,
               apart);
    for (int64_t t = 0; c.valid && t < c.tokens; ++t)
        if (c.padding(batch, t)) std::fill_n(c.d_k + first + t * apart, c.keys, T(0));
    sums_of<T>(c.tokens, s.d_a, [&](int64_t t) SLEEP_INLINE { return load(s.d_a_lanes + t * line); });
    sums_of<T>(c.tokens, s.d_b, [&](int64_t t) SLEEP_INLINE { return load(s.d_b_lanes + t * line); });
    finish_gates(c, s, batch, head);
}

}  // namespace sleep
