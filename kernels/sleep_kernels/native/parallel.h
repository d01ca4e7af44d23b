// Scratch memory that a thread keeps, and threads that are started for one call.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

namespace sleep {

constexpr int64_t upward(int64_t size, int64_t multiple) {
    return (size + multiple - 1) / multiple * multiple;
}

// Memory that the calling thread keeps from call to call: fresh pages cost as much as the work.
// More than a few MiB are given back.
struct Pool {
    static constexpr size_t KEPT = 8 << 20;
    char* memory = nullptr;
    size_t size = 0;

    char* at_least(size_t wanted) {
        if (wanted > size) {
            std::free(memory);
            memory = nullptr, size = 0;
            memory = static_cast<char*>(std::aligned_alloc(64, upward(wanted, 64)));
            if (!memory) throw std::bad_alloc();
            size = wanted;
        }
        return memory;
    }
    void give_back() {
        if (size <= KEPT) return;
        std::free(memory);
        memory = nullptr, size = 0;
    }
    ~Pool() { std::free(memory); }
};

inline Pool& pool_of_thread() {
    static thread_local Pool pool;
    return pool;
}

// How many parts `count` pieces of work are cut into: no more than there are threads, or pieces.
inline int64_t parts_for(int64_t threads, int64_t count) {
    return std::max<int64_t>(1, std::min(threads, count));
}

// Runs `work(part)` for each of `parts`, on as many threads, or in this one if no thread can be started.
// `work` may not throw.
template <typename F>
void in_parallel(int64_t parts, F&& work) {
    std::vector<std::thread> others;
    others.reserve(parts);
    for (int64_t part = 1; part < parts; ++part) {
        try {
            others.emplace_back(work, part);
        } catch (...) {  // too many threads, or no memory for one more
            work(part);
        }
    }
    work(0);
    for (auto& other : others) other.join();
}

}  // namespace sleep
