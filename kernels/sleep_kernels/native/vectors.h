// Vectors in the compilers' own syntax, as wide as this processor's registers: wider ones are cut up
// by compilers at a price that exceeds the work.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

// For lambdas in the innermost loops, which compilers else call row by row.
#define SLEEP_INLINE __attribute__((always_inline))

#if defined(__AVX512F__)
#define SLEEP_WIDTH 64
#elif defined(__AVX__)
#define SLEEP_WIDTH 32
#else
#define SLEEP_WIDTH 16
#endif

namespace sleep {

template <typename T>
struct Lanes {
    static constexpr int count = SLEEP_WIDTH / sizeof(T);
    typedef T type __attribute__((vector_size(SLEEP_WIDTH)));
};

typedef int32_t Ints __attribute__((vector_size(SLEEP_WIDTH)));  // lane for lane with float

template <typename T>
using Vec = typename Lanes<T>::type;

template <typename T>
inline Vec<T> load(const T* from) {
    Vec<T> v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <typename T>
inline void store(T* to, Vec<T> v) {
    std::memcpy(to, &v, sizeof v);
}

// The first `count` numbers, zeros after them; nothing beyond them is read.
template <typename T>
inline Vec<T> load_some(const T* from, int64_t count) {
    if (count >= Lanes<T>::count) return load(from);
    Vec<T> v = {};
    for (int64_t i = 0; i < count; ++i) v[i] = from[i];
    return v;
}

template <typename T>
inline void store_some(T* to, Vec<T> v, int64_t count) {
    if (count >= Lanes<T>::count) return store(to, v);
    for (int64_t i = 0; i < count; ++i) to[i] = v[i];
}

template <typename T>
inline Vec<T> splat(T x) {
    return x - Vec<T>{};
}

// Lane l of the result: a[l] + a[l ^ BIT] where l has not BIT, else the same of b.
template <int BIT, typename V, size_t... L>
inline V merged(V a, V b, std::index_sequence<L...>) {
    constexpr int count = sizeof...(L);
    V own = __builtin_shufflevector(a, b, (L & BIT ? int(L) + count : int(L))...);
    V other = __builtin_shufflevector(a, b, (L & BIT ? int(L ^ BIT) + count : int(L ^ BIT))...);
    return own + other;
}

// Vectors row(first) .. row(first + ROWS - 1), each summed: in lane l, the sum of row first + l.
// Pairs are merged as they come, so that few are alive at a time.
template <typename T, int ROWS, typename F>
SLEEP_INLINE inline Vec<T> sums_of_rows(int first, F&& row) {
    if constexpr (ROWS == 1) {
        return row(first);
    } else {
        Vec<T> even = sums_of_rows<T, ROWS / 2>(first, row);
        Vec<T> odd = sums_of_rows<T, ROWS / 2>(first + ROWS / 2, row);
        return merged<ROWS / 2>(even, odd, std::make_index_sequence<Lanes<T>::count>{});
    }
}

template <int BIT, typename V, size_t... L>
inline V folded(V v, std::index_sequence<L...>) {
    return v + __builtin_shufflevector(v, v, int(L ^ BIT)...);
}

// The two halves of a vector, the other way round.
template <typename V, size_t... L>
inline V swapped(V v, std::index_sequence<L...>) {
    return __builtin_shufflevector(v, v, int(L ^ (sizeof...(L) / 2))...);
}

// The sum of all lanes, in pairs.
template <typename T>
inline T sum(Vec<T> v) {
    constexpr auto lanes = std::make_index_sequence<Lanes<T>::count>{};
    if constexpr (Lanes<T>::count > 8) v = folded<8>(v, lanes);
    if constexpr (Lanes<T>::count > 4) v = folded<4>(v, lanes);
    if constexpr (Lanes<T>::count > 2) v = folded<2>(v, lanes);
    return folded<1>(v, lanes)[0];
}

// Sums of the lanes of `row(i)` for 0 <= i < count, side by side; zeros up to a whole vector.
template <typename T, typename F>
SLEEP_INLINE inline void sums_of(int64_t count, T* to, F&& row) {
    constexpr int line = Lanes<T>::count;
    for (int64_t i = 0; i < count; i += line)
        store(to + i, sums_of_rows<T, line>(0, [&](int u) SLEEP_INLINE {
                  return i + u < count ? row(i + u) : Vec<T>{};
              }));
}

template <typename V>
inline V root(V x) {
    for (size_t i = 0; i < sizeof(V) / sizeof(x[0]); ++i) x[i] = std::sqrt(x[i]);
    return x;
}

// exp of every lane: within 2 units in the last place of float, 0 below -87.3 and infinite above
// 88.3, a little before float ends; of double, libm's own.
inline Vec<float> exp_of(Vec<float> x) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to whole numbers
    const Ints nothing = x < -87.33654f, beyond = x > 88.3f;
    x = nothing | beyond ? splat(0.0f) : x;
    Vec<float> n = (x * 1.44269504088896341f + magic) - magic;
    Vec<float> r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
    Vec<float> power;
    std::memcpy(&power, &bits, sizeof power);
    const Vec<float> end = beyond ? splat(HUGE_VALF) : splat(0.0f);
    return nothing | beyond ? end : p * power;
}

inline Vec<double> exp_of(Vec<double> x) {
    for (int i = 0; i < Lanes<double>::count; ++i) x[i] = std::exp(x[i]);
    return x;
}

// log(1 + u) for 0 <= u <= 1, within 3 units in the last place of float; of double, libm's own.
inline Vec<float> log1p_of(Vec<float> u) {
    Vec<float> w = 1 + u;  // 1 <= w <= 2; the rounding error is corrected at the end
    Ints high = w > 1.41421356f;
    Vec<float> x = (high ? w * 0.5f : w) - 1;
    Vec<float> square = x * x;
    Vec<float> p = x * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * x + 1.1676998740e-1f;
    p = p * x - 1.2420140846e-1f;
    p = p * x + 1.4249322787e-1f;
    p = p * x - 1.6668057665e-1f;
    p = p * x + 2.0000714765e-1f;
    p = p * x - 2.4999993993e-1f;
    p = p * x + 3.3333331174e-1f;
    Vec<float> log = x * square * p - 0.5f * square + x;
    log += high ? splat(0.693147180559945f) : splat(0.0f);
    Vec<float> kept = w - 1;
    return kept == 0 ? u : log * (u / (kept == 0 ? splat(1.0f) : kept));
}

inline Vec<double> log1p_of(Vec<double> u) {
    for (int i = 0; i < Lanes<double>::count; ++i) u[i] = std::log1p(u[i]);
    return u;
}

template <typename V>
inline V sigmoid(V x) {
    return 1 / (1 + exp_of(-x));
}

// d SiLU(x) / d x, where SiLU(x) = x sigmoid(x).
template <typename V>
inline V silu_slope(V x) {
    const V open = sigmoid(x);
    return open * (1 + x * (1 - open));
}

template <typename V>
inline V softplus(V x) {
    V size = x < 0 ? -x : x;
    return (x > 0 ? x : V{}) + log1p_of(exp_of(-size));
}

}  // namespace sleep
