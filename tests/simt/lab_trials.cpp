// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/lab_trials.h"

#include <stdint.h>

#include "tests/simt/device.h"
#include "tests/simt/round_ref.h"

// ---- inputs, and what they should give

template <typename T>
static bytes_of pack(const std::vector<T> &values) {
    const unsigned char *begin = reinterpret_cast<const unsigned char *>(values.data());
    return bytes_of(begin, begin + values.size() * sizeof(T));
}

template <typename T>
static std::vector<T> whole_numbers(check_random *random, size_t n, int most) {
    std::vector<T> values(n);
    for (T &value : values) value = (T)((int)check_below(random, 2 * (unsigned)most + 1) - most);
    return values;
}

static lab_trial make_sum(check_random *random) {
    const int n = 200 + (int)check_below(random, 180);
    const std::vector<float> a = whole_numbers<float>(random, (size_t)n, 100);
    float sum = 0;
    for (const float value : a) sum += value;
    return {pack(a), {}, pack(std::vector<float>(LAB_BLOCKS, 2 * sum)), n};
}

static lab_trial make_exchange(check_random *random) {
    const std::vector<int> a = whole_numbers<int>(random, LAB_THREADS, 1000);
    std::vector<int> want(LAB_THREADS);
    for (int i = 0; i < LAB_THREADS; i++) want[i] = a[i ^ 1] + a[i ^ 2];
    return {pack(a), {}, pack(want), 0};
}

static lab_trial make_transpose(check_random *random) {
    const std::vector<uint16_t> a = whole_numbers<uint16_t>(random, 32 * 32, 30000);
    std::vector<uint16_t> want(a.size());
    for (int i = 0; i < 32; i++) {
        for (int j = 0; j < 32; j++) want[j * 32 + i] = a[i * 32 + j];
    }
    return {pack(a), {}, pack(want), 0};
}

static lab_trial make_neighbours(check_random *random) {
    const std::vector<double> a = whole_numbers<double>(random, LAB_THREADS, 1000000);
    std::vector<double> want(a);
    for (int i = 0; i < LAB_THREADS; i++) {
        if (i % 32 != 0 && i % 32 != 31) want[i] = a[i - 1] + a[i + 1];
    }
    return {pack(a), {}, pack(want), 0};
}

static lab_trial make_votes(check_random *random) {
    std::vector<int> a = whole_numbers<int>(random, LAB_THREADS, 3);
    std::vector<unsigned> want(LAB_THREADS / 32, 0);
    for (int i = 32; i < 96; i++) a[i] = i < 64;  // a warp that agrees, and one that does, on no
    for (int i = 0; i < LAB_THREADS; i++) want[i / 32] |= (unsigned)(a[i] > 0) << (i % 32);
    return {pack(a), {}, pack(want), 0};
}

enum { COUNT_BEFORE = 10 };  // what the counter holds at first

static lab_trial make_count(check_random *random) {
    const std::vector<int> a = whole_numbers<int>(random, 700, 5);
    int n = COUNT_BEFORE;
    for (const int value : a) n += value > 0;
    return {pack(a), {}, pack(std::vector<int>(1, n)), (int)a.size()};
}

static lab_trial make_copy(check_random *random) {
    const int n = 130 + (int)check_below(random, 100);
    const std::vector<unsigned> a = whole_numbers<unsigned>(random, 4 * (size_t)n, 100000);
    const std::vector<unsigned> b = whole_numbers<unsigned>(random, 4, 100000);
    std::vector<unsigned> want(a);
    for (size_t i = 0; i < want.size(); i++) want[i] += b[i % 4] + (i % 4 == 0 ? i / 4 % 4 : 0);
    return {pack(a), pack(b), pack(want), n};
}

static lab_trial make_bytes(check_random *random) {
    const bytes_of a = whole_numbers<unsigned char>(random, LAB_BLOCKS * LAB_THREADS, 100);
    bytes_of want(a);
    for (unsigned char &value : want) value++;
    return {a, {}, want, 0};
}

static std::vector<uint16_t> to_bfloat16(const std::vector<float> &values) {
    std::vector<uint16_t> bits;
    for (const float value : values) {
        uint32_t word;
        memcpy(&word, &value, sizeof word);
        bits.push_back((uint16_t)(word >> 16));  // exact: small whole numbers
    }
    return bits;
}

static lab_trial make_product(check_random *random) {
    const int n = 16 * (3 + (int)check_below(random, 5));
    const std::vector<float> a = whole_numbers<float>(random, 16 * (size_t)n, 50);
    const std::vector<float> b = whole_numbers<float>(random, 8 * (size_t)n, 50);
    std::vector<float> want(16 * 8, 0);
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 8; j++) {
            for (int k = 0; k < n; k++) want[i * 8 + j] += a[i * n + k] * b[k * 8 + j];
        }
    }
    return {pack(to_bfloat16(a)), pack(to_bfloat16(b)), pack(want), n};
}

static lab_trial make_formats(check_random *random) {
    std::vector<float> a, b, want;
    for (int i = 0; i < LAB_THREADS; i++) {
        const double scale = ldexp(1, (int)check_below(random, 24) - 12);
        const double x = (float)(scale * check_below(random, 1 << 23));
        const double y = (float)(x * (1 + 0x1p-20 * check_below(random, 1 << 20)));
        a.push_back((float)(x * 0x1p-22));
        b.push_back((float)(y * -0x1p-22));
        for (const round_format format : {ROUND_HALF, ROUND_BFLOAT16}) {
            const double p = round_ref(a[i], format), q = round_ref(b[i], format);
            want.push_back((float)round_ref(p + q, format));
            want.push_back((float)round_ref(p * q, format));
        }
    }
    return {pack(a), pack(b), pack(want), 0};
}

const lab_kernel lab_kernels[LAB_KERNELS] = {
    {"sum", lab_sum, make_sum},
    {"exchange", lab_exchange, make_exchange},
    {"transpose", lab_transpose, make_transpose},
    {"neighbours", lab_neighbours, make_neighbours},
    {"votes", lab_votes, make_votes},
    {"count", lab_count, make_count},
    {"copy", lab_copy, make_copy},
    {"bytes", lab_bytes, make_bytes},
    {"product", lab_product, make_product},
    {"formats", lab_formats, make_formats},
};

// ---- running one

static void *to_device(const bytes_of &bytes) {
    void *memory = device_alloc(bytes.size());
    device_write(memory, bytes.data(), bytes.size());
    return memory;
}

bool run_trial(const lab_trial &trial, const std::function<int(lab_args *args)> &launch) {
    void *const a = to_device(trial.a), *const b = to_device(trial.b);
    void *const out = device_alloc(trial.want.size());
    const int before = COUNT_BEFORE;
    if (trial.want.size() == sizeof before) device_write(out, &before, sizeof before);
    lab_args args = {a, b, out, trial.n};
    const int error = launch(&args);
    bytes_of got(trial.want.size());
    device_read(got.data(), out, got.size());
    if (args.a != nullptr) device_free(a);
    device_free(b);
    device_free(out);
    return error == 0 && got == trial.want;
}
