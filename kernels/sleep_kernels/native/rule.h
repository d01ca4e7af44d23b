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

#include "rows.h"

namespace sleep {

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
        const bool pad = c.padding(batch, t);
        V written[NV];
        for (int n = 0; n < NV; ++n) missing[n] = pad ? V{} : column(v_row, n);
        if (c.delta) {
            // apart, no product waits for the last, and fewer numbers are rounded together
            V sums[APART][NV] = {};
            for (int i = 0; i < rows(); i += APART)
                for (int u = 0; u < APART; ++u)
                    for (int n = 0; n < NV; ++n)
                        sums[u][n] += k[i + u] * load(in + ((i + u) * NV + n) * line);
            for (int n = 0; n < NV; ++n)
                missing[n] -= a * ((sums[0][n] + sums[1][n]) + (sums[2][n] + sums[3][n]));
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
    const int64_t parts = parts_for(c.threads, pairs);
    const int64_t room = Scratch<T>(c, KP, VP, BACKWARD, nullptr).size;
    Pool& pool = pool_of_thread();
    char* memory = pool.at_least(parts * room);
    in_parallel(parts, [&](int64_t part) {  // a pair is one thread's: any number gives the same
        Scratch<T> s(c, KP, VP, BACKWARD, memory + part * room);
        for (int64_t pair = pairs * part / parts; pair < pairs * (part + 1) / parts; ++pair)
            if constexpr (BACKWARD)
                backward_pair<T, KEYS>(c, s, pair, KP, VP);
            else
                forward_pair<T, KEYS>(c, s, pair, KP, VP);
    });
    pool.give_back();
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
