// The update rules, forward and backward, token by token with S in the first-level cache.
//
// Per (batch, head), keys of unit norm, a = exp(log decay):
//
//     delta rules           r = b (v - a S^T k)      S' = a S + k r^T      o = scale S'^T q
//     gated outer product   r = b v
//
// Columns of S do not meet, so they are worked through in blocks of NV vectors. The backward runs
// the window again and keeps S after every token (in segments, where a window is long), then goes
// back through it, dS' being what later tokens want of S':
//
//     dS = dS' + q (scale do)^T    dq = S' (scale do)    dr = dS^T k    dv = b dr    db = <dr, r / b>
//     dk = dS r - a S dv           dS~ = dS - k dv^T     dlog a = a <dS~, S>         dS = a dS~
//
// (for the outer product without the terms in dv on the last line). Yang et al. arXiv 2412.06464.

#pragma once

#include <algorithm>
#include <utility>
#include <vector>

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
};

constexpr int APART = 4;                    // sums that a product over keys is added up in
constexpr int64_t CHUNK = 32;              // tokens between two states that are handed out
constexpr int64_t KEPT_BYTES = 384 << 10;  // of S after every token: part of a second-level cache

// What one thread works in: pieces of one block, each a multiple of 64 bytes.
template <typename T>
struct Scratch {
    T *q, *k, *a, *b, *q_rate, *k_rate, *state, *error, *kept, *starts;
    T *output, *d_output, *d_q, *d_k, *d_state, *d_a, *d_b, *d_a_lanes, *d_b_lanes, *rates;
    int64_t segment, segments, size = 0;

    Scratch(const Call<T>& c, int64_t KP, int64_t VP, bool backward) {
        const int64_t t = c.tokens, line = Lanes<T>::count;
        // what fits the cache, but of a very long window no more than 256 parts
        const int64_t fits = KEPT_BYTES / int64_t(KP * VP * sizeof(T));
        segment = backward ? std::max<int64_t>({fits, 4, t / 256}) : t;
        segment = std::min(segment, t);
        segments = (t + segment - 1) / segment;
        pieces = {{&Scratch::q, t * KP}, {&Scratch::k, t * KP}, {&Scratch::a, t},
                  {&Scratch::b, t}, {&Scratch::q_rate, t}, {&Scratch::k_rate, t},
                  {&Scratch::rates, t}};
        if (!backward) {
            pieces.push_back({&Scratch::state, KP * VP});
        } else {
            pieces.insert(pieces.end(), {
                {&Scratch::error, t * VP}, {&Scratch::kept, (segment + 1) * KP * VP},
                {&Scratch::starts, segments * KP * VP}, {&Scratch::output, c.weight ? t * VP : 0},
                {&Scratch::d_output, t * VP}, {&Scratch::d_q, t * KP}, {&Scratch::d_k, t * KP},
                {&Scratch::d_state, KP * VP}, {&Scratch::d_a, t}, {&Scratch::d_b, t},
                {&Scratch::d_a_lanes, t * line}, {&Scratch::d_b_lanes, t * line},
            });
        }
        for (auto& piece : pieces) size += upward(piece.second * sizeof(T), 64);
    }

    void settle(char* memory) {
        for (auto& piece : pieces) {
            this->*piece.first = reinterpret_cast<T*>(memory);
            memory += upward(piece.second * sizeof(T), 64);
        }
    }

  private:
    std::vector<std::pair<T* Scratch::*, int64_t>> pieces;
};

// Rows of q or k into scratch, padded with zeros, brought to unit norm where asked for.
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
        if (c.valid[batch * c.tokens + t]) continue;
        std::fill_n(s.k + t * KP, KP, T(0));
        s.k_rate[t] = 0, s.a[t] = 1, s.b[t] = 0;
    }
}

// `KEYS`: rows of S with padding, 0 where they are only known to `KP`; `NV`: vectors of columns.
template <typename T, int KEYS, int NV>
struct Block {
    using V = Vec<T>;
    static constexpr int line = Lanes<T>::count;
    const Call<T>& c;
    Scratch<T>& s;
    int64_t batch, head, KP, VP, start;

    Block(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head, int64_t KP, int64_t VP,
          int64_t start)
        : c(c), s(s), batch(batch), head(head), KP(KEYS ? KEYS : KP), VP(VP), start(start) {}

    int rows() const { return KEYS ? KEYS : int(KP); }

    // S of a pair lies block after block, each [key, NV vectors]
    T* block_of(T* pair) const { return pair + start * rows(); }

    bool padding(int64_t t) const { return c.valid && !c.valid[batch * c.tokens + t]; }

    // columns of row t that this block holds, of a tensor whose head begins at `row`
    V column(const T* row, int n) const {
        const int64_t at = start + n * line;
        return load_some(row + at, c.values - at);
    }
    void put(T* row, int n, V x) const {
        const int64_t at = start + n * line;
        store_some(row + at, x, c.values - at);
    }

    void load_state(const T* from, T* to) const {  // from [batch, head, key, value]
        const T* pair = from ? from + (batch * c.heads + head) * c.keys * c.values : nullptr;
        for (int64_t i = 0; i < rows(); ++i)
            for (int n = 0; n < NV; ++n) {
                V x = {};
                if (pair && i < c.keys) x = column(pair + i * c.values, n);
                store(to + (i * NV + n) * line, x);
            }
    }

    void store_state(const T* from, T* pair) const {
        for (int64_t i = 0; i < c.keys; ++i)
            for (int n = 0; n < NV; ++n)
                put(pair + i * c.values, n, load(from + (i * NV + n) * line));
    }

    // One token: S in, S out (they may be the same), what is missing and, if READ, the output.
    template <bool READ>
    void token(const T* in, T* out, int64_t t, V* missing, V* read) const {
        const T* k = s.k + t * KP;
        const T* q = s.q + t * KP;
        const T a = s.a[t], b = s.b[t];
        const T* v_row = c.v + batch * c.v_batch + t * c.v_token + head * c.values;
        const bool pad = padding(t);
        V written[NV];
        for (int n = 0; n < NV; ++n) missing[n] = pad ? V{} : column(v_row, n);
        if (c.delta) {
            // apart, no product waits for the last, and fewer numbers are rounded together
            V sums[APART][NV] = {};
            for (int i = 0; i < rows(); i += APART)
                for (int u = 0; u < APART; ++u)
                    for (int n = 0; n < NV; ++n)
                        sums[u][n] += k[i + u] * load(in + ((i + u) * NV + n) * line);
            for (int n = 0; n < NV; ++n) {
                missing[n] -= a * ((sums[0][n] + sums[1][n]) + (sums[2][n] + sums[3][n]));
            }
        }
        for (int n = 0; n < NV; ++n) written[n] = b * missing[n];
        V sums[2][NV] = {};
        for (int i = 0; i < rows(); i += 2)
            for (int u = 0; u < 2; ++u)
                for (int n = 0; n < NV; ++n) {
                    const int at = ((i + u) * NV + n) * line;
                    V x = a * load(in + at) + k[i + u] * written[n];
                    store(out + at, x);
                    if constexpr (READ) sums[u][n] += q[i + u] * x;
                }
        if constexpr (READ)
            for (int n = 0; n < NV; ++n) read[n] = T(c.scale) * (sums[0][n] + sums[1][n]);
    }

    template <bool READ>
    void forward() const {
        T* state = block_of(s.state);
        load_state(c.state, state);
        const int64_t chunks = (c.tokens + CHUNK - 1) / CHUNK;
        V missing[NV], read[NV];
        for (int64_t t = 0; t < c.tokens; ++t) {
            if (c.chunks && t % CHUNK == 0)
                store_state(state, c.chunks + ((batch * chunks + t / CHUNK) * c.heads + head) *
                                                  c.keys * c.values);
            token<READ>(state, state, t, missing, read);
            if constexpr (READ) {
                T* row = c.output + ((batch * c.tokens + t) * c.heads + head) * c.values;
                for (int n = 0; n < NV; ++n) put(row, n, read[n]);
            }
        }
        store_state(state, c.after + (batch * c.heads + head) * c.keys * c.values);
    }

    // The tokens of a segment again; S after each is kept, S before the first stands at its start.
    template <bool READ>
    void again(int64_t segment) const {
        const int64_t first = segment * s.segment, size = rows() * VP;
        const int64_t last = std::min(first + s.segment, c.tokens);
        std::copy_n(block_of(s.starts + segment * size), rows() * NV * line, block_of(s.kept));
        V missing[NV], read[NV];
        for (int64_t t = first; t < last; ++t) {
            T* before = block_of(s.kept + (t - first) * size);
            token<READ>(before, before + size, t, missing, read);
            for (int n = 0; n < NV; ++n) {
                store(s.error + t * VP + start + n * line, missing[n]);
                if constexpr (READ) store(s.output + t * VP + start + n * line, read[n]);
            }
        }
        if (last < c.tokens)
            std::copy_n(block_of(s.kept + s.segment * size), rows() * NV * line,
                        block_of(s.starts + (segment + 1) * size));
    }

    template <bool READ>
    void back(int64_t segment) const {
        const int64_t first = segment * s.segment, size = rows() * VP;
        const int64_t last = std::min(first + s.segment, c.tokens);
        T* d_state = block_of(s.d_state);
        for (int64_t t = last - 1; t >= first; --t) {
            const T* k = s.k + t * KP;
            const T* q = s.q + t * KP;
            const T a = s.a[t], b = s.b[t];
            const T* before = block_of(s.kept + (t - first) * size);
            const T* after = before + size;
            V asked[NV] = {}, written[NV], d_missing[NV], d_recalled[NV], d_value[NV];
            V sums[2][NV] = {};
            V d_b = {}, d_a[NV] = {};
            for (int n = 0; n < NV; ++n)
                if constexpr (READ) asked[n] = load(s.d_output + t * VP + start + n * line);
            for (int i = 0; i < rows(); i += 2)
                for (int u = 0; u < 2; ++u)
                    for (int n = 0; n < NV; ++n) {
                        V x = load(d_state + ((i + u) * NV + n) * line);
                        if constexpr (READ) x += q[i + u] * asked[n];
                        sums[u][n] += k[i + u] * x;
                    }
            for (int n = 0; n < NV; ++n) {
                V missing = load(s.error + t * VP + start + n * line);
                V d_written = sums[0][n] + sums[1][n];
                written[n] = b * missing;
                d_b += d_written * missing;
                d_value[n] = b * d_written;
                d_missing[n] = c.delta ? d_value[n] : V{};
                d_recalled[n] = a * d_missing[n];
                put(c.d_v + ((batch * c.tokens + t) * c.heads + head) * c.values, n, d_value[n]);
            }
            for (int i0 = 0; i0 < rows(); i0 += line) {
                V d_k = sums_of_rows<T, line>(i0, [&](int i) SLEEP_INLINE {
                    V row = {};
                    for (int n = 0; n < NV; ++n) {
                        const int at = (i * NV + n) * line;
                        V x = load(d_state + at), s_before = load(before + at);
                        if constexpr (READ) x += q[i] * asked[n];
                        row += x * written[n];
                        row -= s_before * d_recalled[n];
                        x -= k[i] * d_missing[n];
                        d_a[n] += x * s_before;
                        store(d_state + at, a * x);
                    }
                    return row;
                });
                store(s.d_k + t * KP + i0, load(s.d_k + t * KP + i0) + d_k);
                if constexpr (READ) {
                    V d_q = sums_of_rows<T, line>(i0, [&](int i) SLEEP_INLINE {
                        V row = {};
                        for (int n = 0; n < NV; ++n)
                            row += load(after + (i * NV + n) * line) * asked[n];
                        return row;
                    });
                    store(s.d_q + t * KP + i0, load(s.d_q + t * KP + i0) + d_q);
                }
            }
            for (int n = 1; n < NV; ++n) d_a[0] += d_a[n];
            T *all_a = s.d_a_lanes + t * line, *all_b = s.d_b_lanes + t * line;
            store(all_a, load(all_a) + a * d_a[0]);
            store(all_b, load(all_b) + d_b);
        }
    }
};

// Calls `work(block)` for every block of columns of a pair.
template <typename T, int KEYS, typename F>
inline void blocks_of(const Call<T>& c, Scratch<T>& s, int64_t batch, int64_t head, int64_t KP,
                      int64_t VP, F&& work) {
    constexpr int64_t line = Lanes<T>::count;
    int64_t start = 0;
    if constexpr (SLEEP_WIDTH == 64)  // with 32 registers
        for (; start + 4 * line <= VP; start += 4 * line)
            work(Block<T, KEYS, 4>(c, s, batch, head, KP, VP, start));
    for (; start + 2 * line <= VP; start += 2 * line)
        work(Block<T, KEYS, 2>(c, s, batch, head, KP, VP, start));
    for (; start < VP; start += line)
        work(Block<T, KEYS, 1>(c, s, batch, head, KP, VP, start));
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
    sums_of<T>(c.tokens, s.d_b, [&](int64_t t) SLEEP_INLINE {  // d_b has not been begun
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
        if (c.valid && !c.valid[batch * c.tokens + t]) s.d_a[t] = s.d_b[t] = 0;
    if (c.d_beta) {
        const T strength = T(c.strength);
        for (int64_t t = 0; t < c.tokens; ++t) {
            const T b = s.b[t], by = c.gated ? b * (1 - b / strength) : T(1);
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
        if (!c.valid[batch * c.tokens + t]) std::fill_n(c.d_k + first + t * apart, c.keys, T(0));
    sums_of<T>(c.tokens, s.d_a, [&](int64_t t) SLEEP_INLINE { return load(s.d_a_lanes + t * line); });
    sums_of<T>(c.tokens, s.d_b, [&](int64_t t) SLEEP_INLINE { return load(s.d_b_lanes + t * line); });
    finish_gates(c, s, batch, head);
}

template <typename T, int KEYS>
void forward_pair(const Call<T>& c, Scratch<T>& s, int64_t pair, int64_t KP, int64_t VP) {
    const int64_t batch = pair / c.heads, head = pair % c.heads;
    prepare(c, s, batch, head, KP);
    blocks_of<T, KEYS>(c, s, batch, head, KP, VP, [&](auto block) {
        c.q ? block.template forward<true>() : block.template forward<false>();
    });
    if (c.q && c.weight) norm_output(c, s, batch, head);
}

template <typename T, int KEYS>
void backward_pair(const Call<T>& c, Scratch<T>& s, int64_t pair, int64_t KP, int64_t VP) {
    const int64_t batch = pair / c.heads, head = pair % c.heads;
    const bool read = c.d_output != nullptr, normed = read && c.weight;
    prepare(c, s, batch, head, KP);
    std::fill_n(s.d_q, c.tokens * KP, T(0));
    std::fill_n(s.d_k, c.tokens * KP, T(0));
    std::fill_n(s.d_a_lanes, c.tokens * Lanes<T>::count, T(0));
    std::fill_n(s.d_b_lanes, c.tokens * Lanes<T>::count, T(0));
    auto every = [&](auto&& work) { blocks_of<T, KEYS>(c, s, batch, head, KP, VP, work); };
    every([&](auto block) {
        block.load_state(c.state, block.block_of(s.starts));
        block.load_state(c.d_after, block.block_of(s.d_state));
    });
    for (int64_t segment = 0; segment < s.segments; ++segment)
        every([&](auto block) {
            normed ? block.template again<true>(segment) : block.template again<false>(segment);
        });
    if (read) unnorm_output(c, s, batch, head, VP);
    for (int64_t segment = s.segments - 1; segment >= 0; --segment) {
        if (segment < s.segments - 1)  // the last still stands there
            every([&](auto block) { block.template again<false>(segment); });
        every([&](auto block) {
            read ? block.template back<true>(segment) : block.template back<false>(segment);
        });
    }
    finish(c, s, batch, head, KP);
    if (c.d_state)
        every([&](auto block) {
            block.store_state(block.block_of(s.d_state), c.d_state + pair * c.keys * c.values);
        });
}

template <typename T, bool BACKWARD, int KEYS>
void run_pairs(const Call<T>& c, int64_t KP) {
    const int64_t VP = upward(c.values, Lanes<T>::count), pairs = c.batch * c.heads;
    const int64_t parts = std::max<int64_t>(1, std::min(c.threads, pairs));
    const Scratch<T> plan(c, KP, VP, BACKWARD);
    char* memory = pool_of_thread().at_least(parts * plan.size);
    in_parallel(parts, [&](int64_t part) {  // a pair is one thread's: any number gives the same
        Scratch<T> s = plan;
        s.settle(memory + part * plan.size);
        for (int64_t pair = pairs * part / parts; pair < pairs * (part + 1) / parts; ++pair)
            if constexpr (BACKWARD)
                backward_pair<T, KEYS>(c, s, pair, KP, VP);
            else
                forward_pair<T, KEYS>(c, s, pair, KP, VP);
    });
}

template <bool BACKWARD, typename T>
void run_rule(const Call<T>& c) {
    const int64_t KP = upward(c.keys, std::max(APART, Lanes<T>::count));
    if constexpr (sizeof(T) == 4) {  // double serves tests and oracles: one form is enough
        if (KP == 16) return run_pairs<T, BACKWARD, 16>(c, KP);
        if (KP == 32) return run_pairs<T, BACKWARD, 32>(c, KP);
        if (KP == 64) return run_pairs<T, BACKWARD, 64>(c, KP);
    }
    run_pairs<T, BACKWARD, 0>(c, KP);
}

}  // namespace sleep
