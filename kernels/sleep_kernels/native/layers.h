// The layers next to the rules: convolutions with SiLU, RMSNorm, SwiGLU's gate, RoPE.
//
// Each reads its input once and writes its output once, and recomputes in the backward what
// would cost more to keep. Sums over batch and token are returned in `groups` parts, for the caller
// to add: the same numbers whatever the number of threads.

#pragma once

#include <algorithm>

#include "parallel.h"
#include "vectors.h"

namespace sleep {

// ------------------------------------------------------------------ short convolution

// y_t = sum_w weight[w] x_(t - taps + 1 + w), then SiLU where `activate`. Rows lie `token` numbers
// apart; tail [batch, taps - 1, channel] (null: zeros), weight [taps, channel]; the rest is contiguous.
template <typename T>
struct Convolution {
    int64_t batch, tokens, channels, taps, activate, groups, threads, x_batch, x_token;
    const T *x, *tail, *weight, *d_y;
    T *y, *d_x, *d_tail, *d_weight;  // d_weight [groups, taps, channel]
};

// One vector of channels, beginning at channel j, of one sequence.
template <typename T, int TAPS>
struct ShortColumn {
    using V = Vec<T>;
    const Convolution<T>& c;
    int64_t batch, j, left;
    V weight[TAPS];

    ShortColumn(const Convolution<T>& c, int64_t batch, int64_t j)
        : c(c), batch(batch), j(j), left(c.channels - j) {
        for (int w = 0; w < TAPS; ++w) weight[w] = load_some(c.weight + w * c.channels + j, left);
    }

    int64_t whole(int64_t t) const { return (batch * c.tokens + t) * c.channels + j; }
    int64_t before(int64_t t) const { return (batch * (TAPS - 1) + t) * c.channels + j; }

    // Calls `work(t, inputs)` for every token, with what its TAPS taps meet.
    template <typename F>
    SLEEP_INLINE void slide(F&& work) const {
        V inputs[TAPS] = {};
        for (int w = 1; w < TAPS; ++w)
            if (c.tail) inputs[w] = load_some(c.tail + before(w - 1), left);
        for (int64_t t = 0; t < c.tokens; ++t) {
            for (int w = 1; w < TAPS; ++w) inputs[w - 1] = inputs[w];
            inputs[TAPS - 1] = load_some(c.x + batch * c.x_batch + t * c.x_token + j, left);
            work(t, inputs);
        }
    }

    SLEEP_INLINE V convolved(const V* inputs) const {
        V z = weight[0] * inputs[0];
        for (int w = 1; w < TAPS; ++w) z += weight[w] * inputs[w];
        return z;
    }

    void forward() const {
        slide([&](int64_t t, const V* inputs) SLEEP_INLINE {
            V z = convolved(inputs);
            if (c.activate) z *= sigmoid(z);
            store_some(c.y + whole(t), z, left);
        });
    }

    // `d_z`: room for [token + taps - 1] vectors, of which the last are zeros
    void backward(T* d_z, T* d_weight) const {
        constexpr int64_t line = Lanes<T>::count;
        V sums[TAPS];
        for (int w = 0; w < TAPS; ++w) sums[w] = load_some(d_weight + w * c.channels + j, left);
        slide([&](int64_t t, const V* inputs) SLEEP_INLINE {
            V d = load_some(c.d_y + whole(t), left);
            if (c.activate) d *= silu_slope(convolved(inputs));
            for (int w = 0; w < TAPS; ++w) sums[w] += d * inputs[w];
            store(d_z + t * line, d);
        });
        for (int w = 0; w < TAPS; ++w) store_some(d_weight + w * c.channels + j, sums[w], left);
        for (int64_t t = c.d_tail ? 1 - TAPS : 0; t < c.tokens; ++t) {
            V d = {};  // input t was met by tap w at token t + TAPS - 1 - w
            for (int w = 0; w < TAPS; ++w) {
                const int64_t at = t + TAPS - 1 - w;
                if (at >= 0) d += weight[w] * load(d_z + at * line);
            }
            store_some(t < 0 ? c.d_tail + before(t + TAPS - 1) : c.d_x + whole(t), d, left);
        }
    }
};

template <int TAPS, typename T>
void short_forward(const Convolution<T>& c) {
    const int64_t parts = parts_for(c.threads, c.batch);
    in_parallel(parts, [&](int64_t part) {
        for (int64_t b = c.batch * part / parts; b < c.batch * (part + 1) / parts; ++b)
            for (int64_t j = 0; j < c.channels; j += Lanes<T>::count)
                ShortColumn<T, TAPS>(c, b, j).forward();
    });
}

template <int TAPS, typename T>
void short_backward(const Convolution<T>& c) {
    constexpr int64_t line = Lanes<T>::count;
    const int64_t parts = parts_for(c.threads, c.groups);
    const int64_t room = (c.tokens + TAPS - 1) * line;
    T* memory = reinterpret_cast<T*>(pool_of_thread().at_least(parts * room * sizeof(T)));
    in_parallel(parts, [&](int64_t part) {
        T* d_z = memory + part * room;
        std::fill_n(d_z + c.tokens * line, (TAPS - 1) * line, T(0));
        for (int64_t g = c.groups * part / parts; g < c.groups * (part + 1) / parts; ++g) {
            T* d_weight = c.d_weight + g * TAPS * c.channels;
            std::fill_n(d_weight, TAPS * c.channels, T(0));
            for (int64_t b = c.batch * g / c.groups; b < c.batch * (g + 1) / c.groups; ++b)
                for (int64_t j = 0; j < c.channels; j += line)
                    ShortColumn<T, TAPS>(c, b, j).backward(d_z, d_weight);
        }
    });
}

constexpr int MOST_TAPS = SLEEP_MOST_TAPS;

// Calls `work` with the number of taps as a constant.
template <int TAPS = 1, typename F>
void with_taps(int64_t taps, F&& work) {
    if (taps == TAPS) return work(std::integral_constant<int, TAPS>{});
    if constexpr (TAPS < MOST_TAPS) with_taps<TAPS + 1>(taps, work);
}

template <typename T>
void run_short_forward(const Convolution<T>& c) {
    with_taps(c.taps, [&](auto taps) { short_forward<decltype(taps)::value>(c); });
}

template <typename T>
void run_short_backward(const Convolution<T>& c) {
    with_taps(c.taps, [&](auto taps) { short_backward<decltype(taps)::value>(c); });
}

// ------------------------------------------------------------------ dynamic convolution

// The same with separate taps for every token: weight and d_weight [batch, token, channel, taps],
// contiguous.
template <typename T, int TAPS>
struct DynamicRows {
    const Convolution<T>& c;
    int64_t batch;
    const T* none;  // [channel] zeros, in place of inputs before the first
    T* lost;        // [channel], for their gradients

    int64_t whole(int64_t t) const { return (batch * c.tokens + t) * c.channels; }
    int64_t before(int64_t t) const { return (batch * (TAPS - 1) + t) * c.channels; }

    const T* input(int64_t t, int w) const {
        const int64_t at = t - (TAPS - 1) + w;
        if (at >= 0) return c.x + batch * c.x_batch + at * c.x_token;
        return c.tail ? c.tail + before(at + TAPS - 1) : none;
    }

    T* d_input(int64_t t, int w) const {
        const int64_t at = t - (TAPS - 1) + w;
        if (at >= 0) return c.d_x + whole(at);
        return c.d_tail ? c.d_tail + before(at + TAPS - 1) : lost;
    }

    void convolve(int64_t t, T* __restrict z) const {
        const T* __restrict weight = c.weight + whole(t) * TAPS;
        std::fill_n(z, c.channels, T(0));
        for (int w = 0; w < TAPS; ++w) {
            const T* __restrict x = input(t, w);
            for (int64_t j = 0; j < c.channels; ++j) z[j] += weight[j * TAPS + w] * x[j];
        }
    }

    void forward(int64_t t) const {
        T* y = c.y + whole(t);
        convolve(t, y);
        for (int64_t j = 0; c.activate && j < c.channels; j += Lanes<T>::count) {
            const int64_t left = c.channels - j;
            const Vec<T> z = load_some(y + j, left);
            store_some(y + j, z * sigmoid(z), left);
        }
    }

    void backward(int64_t t, T* __restrict d_z) const {
        const T* d_y = c.d_y + whole(t);
        if (c.activate) convolve(t, d_z);
        for (int64_t j = 0; j < c.channels; j += Lanes<T>::count) {
            const int64_t left = c.channels - j;
            Vec<T> d = load_some(d_y + j, left);
            if (c.activate) d *= silu_slope(load_some(d_z + j, left));
            store_some(d_z + j, d, left);
        }
        const T* __restrict weight = c.weight + whole(t) * TAPS;
        T* __restrict d_weight = c.d_weight + whole(t) * TAPS;
        for (int w = 0; w < TAPS; ++w) {
            const T* __restrict x = input(t, w);
            T* __restrict d_x = d_input(t, w);
            for (int64_t j = 0; j < c.channels; ++j) {
                d_weight[j * TAPS + w] = d_z[j] * x[j];
                d_x[j] += d_z[j] * weight[j * TAPS + w];
            }
        }
    }
};

template <int TAPS, bool BACKWARD, typename T>
void run_dynamic_with(const Convolution<T>& c) {
    const int64_t parts = parts_for(c.threads, c.batch);
    T* memory = reinterpret_cast<T*>(pool_of_thread().at_least(3 * parts * c.channels * sizeof(T)));
    in_parallel(parts, [&](int64_t part) {
        T *none = memory + 3 * part * c.channels, *lost = none + c.channels;
        std::fill_n(none, 2 * c.channels, T(0));
        for (int64_t b = c.batch * part / parts; b < c.batch * (part + 1) / parts; ++b) {
            const DynamicRows<T, TAPS> rows{c, b, none, lost};
            if constexpr (BACKWARD) {
                std::fill_n(c.d_x + rows.whole(0), c.tokens * c.channels, T(0));
                if (c.d_tail) std::fill_n(c.d_tail + rows.before(0), (TAPS - 1) * c.channels, T(0));
            }
            for (int64_t t = 0; t < c.tokens; ++t)
                if constexpr (BACKWARD)
                    rows.backward(t, lost + c.channels);
                else
                    rows.forward(t);
        }
    });
}

template <bool BACKWARD, typename T>
void run_dynamic(const Convolution<T>& c) {
    with_taps(c.taps, [&](auto taps) { run_dynamic_with<decltype(taps)::value, BACKWARD>(c); });
}

// ------------------------------------------------------------------ rows of channels

template <typename T>
struct Rows {
    int64_t rows, channels, groups, threads;
    double eps;
    const T *x, *weight, *d_y;
    T *y, *d_x, *d_weight;  // d_weight [groups, channel]
};

// Runs `work(group, first row, last row)` for every group of rows.
template <typename T, typename F>
void in_groups(const Rows<T>& c, F&& work) {
    const int64_t parts = parts_for(c.threads, c.groups);
    in_parallel(parts, [&](int64_t part) {
        for (int64_t g = c.groups * part / parts; g < c.groups * (part + 1) / parts; ++g)
            work(g, c.rows * g / c.groups, c.rows * (g + 1) / c.groups);
    });
}

template <typename T>
T root_rate(const Rows<T>& c, const T* x) {
    Vec<T> square = {};
    for (int64_t j = 0; j < c.channels; j += Lanes<T>::count) {
        const Vec<T> part = load_some(x + j, c.channels - j);
        square += part * part;
    }
    return 1 / std::sqrt(sum<T>(square) / T(c.channels) + T(c.eps));
}

// RMSNorm, y = r x w with r = (mean x^2 + eps)^-1/2.
template <typename T>
void run_rms_forward(const Rows<T>& c) {
    in_groups(c, [&](int64_t, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const T* x = c.x + i * c.channels;
            const T rate = root_rate(c, x);
            for (int64_t j = 0; j < c.channels; j += Lanes<T>::count) {
                const int64_t left = c.channels - j;
                const Vec<T> w = load_some(c.weight + j, left);
                store_some(c.y + i * c.channels + j, load_some(x + j, left) * rate * w, left);
            }
        }
    });
}

// dx = r (dy w - r^2 x mean(dy w x)), dw = sum(r dy x).
template <typename T>
void run_rms_backward(const Rows<T>& c) {
    constexpr int64_t line = Lanes<T>::count;
    in_groups(c, [&](int64_t g, int64_t first, int64_t last) {
        T* d_weight = c.d_weight + g * c.channels;
        std::fill_n(d_weight, c.channels, T(0));
        for (int64_t i = first; i < last; ++i) {
            const T *x = c.x + i * c.channels, *d_y = c.d_y + i * c.channels;
            const T rate = root_rate(c, x);
            Vec<T> along = {};
            for (int64_t j = 0; j < c.channels; j += line) {
                const int64_t left = c.channels - j;
                const Vec<T> product = load_some(d_y + j, left) * load_some(x + j, left);
                along += product * load_some(c.weight + j, left);
                store_some(d_weight + j, load_some(d_weight + j, left) + rate * product, left);
            }
            const T shared = rate * rate * sum<T>(along) / T(c.channels);
            for (int64_t j = 0; j < c.channels; j += line) {
                const int64_t left = c.channels - j;
                const Vec<T> w = load_some(c.weight + j, left);
                const Vec<T> d = load_some(d_y + j, left) * w - load_some(x + j, left) * shared;
                store_some(c.d_x + i * c.channels + j, d * rate, left);
            }
        }
    });
}

// SwiGLU's gate, y = SiLU(gate) up; x [row, gate and up] is twice as wide as y.
template <typename T>
void run_gate_forward(const Rows<T>& c) {
    in_groups(c, [&](int64_t, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const T *gate = c.x + i * 2 * c.channels, *up = gate + c.channels;
            for (int64_t j = 0; j < c.channels; j += Lanes<T>::count) {
                const int64_t left = c.channels - j;
                const Vec<T> g = load_some(gate + j, left);
                store_some(c.y + i * c.channels + j, g * sigmoid(g) * load_some(up + j, left), left);
            }
        }
    });
}

template <typename T>
void run_gate_backward(const Rows<T>& c) {
    in_groups(c, [&](int64_t, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const T *gate = c.x + i * 2 * c.channels, *up = gate + c.channels;
            T *d_gate = c.d_x + i * 2 * c.channels, *d_up = d_gate + c.channels;
            for (int64_t j = 0; j < c.channels; j += Lanes<T>::count) {
                const int64_t left = c.channels - j;
                const Vec<T> g = load_some(gate + j, left), open = sigmoid(g);
                const Vec<T> d = load_some(c.d_y + i * c.channels + j, left);
                store_some(d_up + j, d * g * open, left);
                store_some(d_gate + j, d * load_some(up + j, left) * open * (1 + g * (1 - open)),
                           left);
            }
        }
    });
}

// ------------------------------------------------------------------ RoPE

// Turns pairs (i, i + half) of x [batch, head, token, channel] by their angles; `direction` -1
// turns back, which is the transpose. Strides are given; cos and sin [token, channel].
template <typename T>
struct Turn {
    int64_t batch, heads, tokens, channels, direction, threads;
    int64_t x_batch, x_head, x_token, y_batch, y_head, y_token;
    const T *x, *cos, *sin;
    T* y;
};

// One row. Pairs lie half a row apart: in one vector, in two, or across vectors.
template <typename T>
void turn_row(const T* __restrict x, const T* __restrict cos, const T* __restrict sin, T way,
              int64_t channels, T* __restrict y) {
    constexpr int64_t line = Lanes<T>::count;
    const int64_t half = channels / 2;
    if (channels == line) {
        const Vec<T> v = load(x), s = way * load(sin);
        const Vec<T> other = swapped(v, std::make_index_sequence<line>{});
        Vec<T> sign;
        for (int64_t i = 0; i < line; ++i) sign[i] = i < line / 2 ? T(-1) : T(1);
        store(y, v * load(cos) + other * (s * sign));
    } else if (half % line == 0) {
        for (int64_t i = 0; i < half; i += line) {
            const Vec<T> left = load(x + i), right = load(x + half + i);
            store(y + i, left * load(cos + i) - way * load(sin + i) * right);
            store(y + half + i, right * load(cos + half + i) + way * load(sin + half + i) * left);
        }
    } else {
        for (int64_t i = 0; i < half; ++i) {
            y[i] = x[i] * cos[i] - way * sin[i] * x[half + i];
            y[half + i] = x[half + i] * cos[half + i] + way * sin[half + i] * x[i];
        }
    }
}

template <typename T>
void run_turn(const Turn<T>& c) {
    const int64_t parts = parts_for(c.threads, c.batch);
    in_parallel(parts, [&](int64_t part) {
        for (int64_t b = c.batch * part / parts; b < c.batch * (part + 1) / parts; ++b)
            for (int64_t t = 0; t < c.tokens; ++t)
                for (int64_t h = 0; h < c.heads; ++h)
                    turn_row(c.x + b * c.x_batch + h * c.x_head + t * c.x_token,
                             c.cos + t * c.channels, c.sin + t * c.channels, T(c.direction),
                             c.channels, c.y + b * c.y_batch + h * c.y_head + t * c.y_token);
    });
}

}  // namespace sleep
