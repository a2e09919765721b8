// SPDX-License-Identifier: Apache-2.0
//
// The emulator itself: the lab's kernels run in every schedule without a report, and each of their
// defects is reported as what it is, in each flavour that can see it. test_emulator [SEED]
#include <time.h>

#include "emulator/simt.h"
#include "tests/simt/lab_trials.h"

static check_random random_state;

static const struct {
    const char *name;
    simt::schedule order;
    bool early;
} schedules[] = {
    {"forward", simt::schedule::forward, false},
    {"reverse", simt::schedule::reverse, false},
    {"random", simt::schedule::random, false},
    {"forward, early", simt::schedule::forward, true},
    {"random, early", simt::schedule::random, true},
};

static void test_kernels(void) {
    for (const auto &schedule : schedules) {
        simt::set_schedule(schedule.order, check_next(&random_state));
        simt::set_async_copies(schedule.early);
        for (const lab_kernel &one : lab_kernels) {
            if (!run_trial(one.make(&random_state), one.launch))
                CHECK_FAIL("kernel %s gives wrong results (%s)", one.name, schedule.name);
            CHECK_INT(simt::faults_in_all(), 0);
            simt::faults_forget();
        }
    }
    CHECK_INT(cudaGetLastError(), cudaSuccess);
}

// ---- defects

enum : unsigned {
    NOT_SEEN = 0,
    BOUNDS = 1u << (int)simt::fault::out_of_bounds,
    UNWRITTEN = 1u << (int)simt::fault::uninitialised,
    MISALIGNED = 1u << (int)simt::fault::misaligned,
    RACE = 1u << (int)simt::fault::race,
    BARRIER = 1u << (int)simt::fault::divergent_barrier,
    DEADLOCK = 1u << (int)simt::fault::deadlock,
    MASK = 1u << (int)simt::fault::mask,
    MISMATCH = 1u << (int)simt::fault::mismatch,
    SOURCE = 1u << (int)simt::fault::source,
    ASYNC = 1u << (int)simt::fault::async_copy,
    SHAPE = 1u << (int)simt::fault::shape,
    TRAPPED = 1u << (int)simt::fault::trap,
    CRASH = 1u << (int)simt::fault::crash,
    SANITIZER = 1u << (int)simt::fault::sanitizer,
    WRONG = 1u << 20,  // result
    LATE = 1u << 21    // seen when cp.async copies late only
};

// What each flavour reports: at least one of these, and nothing else but what `also` allows, which
// are consequences. NOT_SEEN: this flavour cannot see it, or not by intent.
struct expectation {
    lab_defect defect;
    const char *name;
    unsigned plain, asan, check, also;
};
#define EXPECT(defect, plain, asan, check, also) \
    { LAB_##defect, #defect, plain, asan, check, also }
static const expectation expectations[] = {
    EXPECT(NO_BARRIER_BEFORE_READ, NOT_SEEN, NOT_SEEN, RACE | UNWRITTEN, WRONG),
    EXPECT(NO_BARRIER_BEFORE_REUSE, NOT_SEEN, NOT_SEEN, RACE, WRONG),
    EXPECT(NO_BOUND, NOT_SEEN, SANITIZER | BOUNDS, BOUNDS, BOUNDS | WRONG),
    EXPECT(SHARED_ARRAY_TOO_SHORT, NOT_SEEN, SANITIZER, NOT_SEEN, WRONG),
    EXPECT(SHARED_PARTLY_UNWRITTEN, NOT_SEEN, NOT_SEEN, UNWRITTEN, WRONG),
    EXPECT(BARRIER_IN_BRANCH, BARRIER, BARRIER, BARRIER, RACE | UNWRITTEN | WRONG),
    EXPECT(BARRIER_WARP_WAITS_ELSEWHERE, DEADLOCK, DEADLOCK, DEADLOCK, WRONG),
    EXPECT(HALF_MASK, MASK, MASK, MASK, SOURCE | WRONG),
    EXPECT(DIFFERENT_MASKS, MISMATCH, MISMATCH, MISMATCH, WRONG),
    EXPECT(LANES_LEFT, SOURCE, SOURCE, SOURCE, WRONG),
    EXPECT(LOOP_STARTS_LATE, WRONG, WRONG, WRONG, 0),
    EXPECT(ALL_LANES_WRITE, NOT_SEEN, NOT_SEEN, RACE, 0),
    EXPECT(BLOCKS_SHARE_RESULT, WRONG, WRONG, RACE, WRONG),
    EXPECT(RESULT_ADDED_TO, WRONG, WRONG, UNWRITTEN, WRONG),
    EXPECT(TRAP, TRAPPED, TRAPPED, TRAPPED, WRONG),
    EXPECT(NO_THREADS, SHAPE, SHAPE, SHAPE, WRONG),
    EXPECT(TOO_MANY_THREADS, SHAPE, SHAPE, SHAPE, WRONG),
    EXPECT(NO_SYNCWARP, NOT_SEEN, NOT_SEEN, RACE | UNWRITTEN, WRONG),
    EXPECT(NO_SYNCWARP_BEFORE_REUSE, NOT_SEEN, NOT_SEEN, RACE, WRONG),
    EXPECT(SYNCWARP_OF_HALVES, NOT_SEEN, NOT_SEEN, RACE | UNWRITTEN, WRONG),
    EXPECT(ONLY_A_SHUFFLE_BETWEEN, NOT_SEEN, NOT_SEEN, RACE, 0),
    EXPECT(NO_BARRIER, NOT_SEEN, NOT_SEEN, RACE | UNWRITTEN, WRONG),
    EXPECT(DYNAMIC_TOO_SMALL, NOT_SEEN, SANITIZER, BOUNDS, WRONG),
    EXPECT(DYNAMIC_BEFORE_BEGIN, WRONG, SANITIZER, BOUNDS, UNWRITTEN | WRONG),
    EXPECT(DYNAMIC_TOO_LARGE, SHAPE, SHAPE, SHAPE, WRONG),
    EXPECT(HALF_OF_WORDS_WRITTEN, WRONG, WRONG, UNWRITTEN, WRONG),
    EXPECT(SHUFFLE_IN_BRANCH, MISMATCH, MISMATCH, MISMATCH, WRONG),
    EXPECT(VOTE_AGAINST_SHUFFLE, MISMATCH, MISMATCH, MISMATCH, WRONG),
    EXPECT(PLAIN_ADD, NOT_SEEN, NOT_SEEN, RACE, 0),
    EXPECT(PLAIN_READ, NOT_SEEN, NOT_SEEN, RACE, 0),
    EXPECT(OFF_BY_ONE_WORD, WRONG, SANITIZER | BOUNDS, BOUNDS, BOUNDS | WRONG),
    EXPECT(BEFORE_BEGIN, WRONG, SANITIZER | BOUNDS, BOUNDS, BOUNDS | WRONG),
    EXPECT(MISALIGNED, CRASH | WRONG, SANITIZER, MISALIGNED, BOUNDS | CRASH | SANITIZER | WRONG),
    EXPECT(FREED, BOUNDS, BOUNDS, BOUNDS, WRONG),
    EXPECT(NULL_POINTER, CRASH, CRASH, BOUNDS, CRASH | SANITIZER | WRONG),
    EXPECT(HOST_POINTER, NOT_SEEN, NOT_SEEN, BOUNDS, 0),
    EXPECT(WRITES_CONSTANT, CRASH, CRASH, BOUNDS, CRASH | WRONG),
    EXPECT(OTHER_STACK, NOT_SEEN, NOT_SEEN, BOUNDS, 0),
    EXPECT(UNWRITTEN_INPUT, WRONG, WRONG, UNWRITTEN, WRONG),
    EXPECT(NEIGHBOUR_TOO, NOT_SEEN, NOT_SEEN, RACE, 0),
    EXPECT(READS_NEIGHBOUR, NOT_SEEN, NOT_SEEN, RACE | UNWRITTEN, WRONG),
    EXPECT(NO_WAIT, ASYNC, ASYNC, ASYNC, UNWRITTEN | RACE | WRONG),
    EXPECT(WAITS_TOO_SHORT, WRONG | LATE, WRONG | LATE, ASYNC, RACE | UNWRITTEN | WRONG),
    EXPECT(NO_SYNCWARP_AFTER_WAIT, NOT_SEEN, NOT_SEEN, RACE | ASYNC, UNWRITTEN | WRONG),
    EXPECT(NO_SYNCWARP_AFTER_USE, NOT_SEEN, NOT_SEEN, RACE, WRONG),
    EXPECT(COPY_LEFT_OVER, ASYNC, ASYNC, ASYNC, RACE | WRONG),
    EXPECT(NOT_TRANSPOSED, WRONG, WRONG, WRONG, 0),
    EXPECT(OPERANDS_SWAPPED, WRONG, WRONG, WRONG, 0),
    EXPECT(ODD_PITCH, MISALIGNED, MISALIGNED, MISALIGNED, ASYNC | UNWRITTEN | WRONG),
    EXPECT(LOADS_FROM_GLOBAL, BOUNDS, BOUNDS, BOUNDS, WRONG),
    EXPECT(LANE_AWAY, SOURCE, SOURCE, SOURCE, UNWRITTEN | WRONG),
};
enum { EXPECTATIONS = sizeof expectations / sizeof *expectations };

#define KERNEL_NAME(kernel, defect) #kernel,
static const char *const kernel_of_defect[] = {"", LAB_DEFECTS(KERNEL_NAME)};

static unsigned host_memory[4];
alignas(16) static const unsigned constant_memory[4 * 256] = {1};

// What the host does wrong, where the defect is none of the kernel's.
static void spoil_arguments(lab_defect defect, lab_args *args) {
    switch (defect) {
        case LAB_FREED:
            simt::release(const_cast<void *>(args->a));
            break;
        case LAB_NULL_POINTER:
            args->b = nullptr;
            break;
        case LAB_HOST_POINTER:
            memcpy(host_memory, args->b, sizeof host_memory);
            args->b = host_memory;
            break;
        case LAB_WRITES_CONSTANT:
            args->out = const_cast<unsigned *>(constant_memory);
            break;
        case LAB_UNWRITTEN_INPUT:
            args->a = args->out;
            break;
        default:
            break;
    }
}

static unsigned kinds_reported(void) {
    unsigned kinds = 0;
    for (int i = 0; i < (int)simt::fault::count; i++)
        kinds |= (unsigned)(simt::faults((simt::fault)i) > 0) << i;
    simt::faults_forget();
    return kinds;
}

static void describe_kinds(unsigned kinds, char *out, size_t cap) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < (int)simt::fault::count; i++) {
        if ((kinds >> i & 1) && n < cap)
            n += (size_t)snprintf(out + n, cap - n, "%s, ", simt::fault_name((simt::fault)i));
    }
    if ((kinds & WRONG) && n < cap) snprintf(out + n, cap - n, "wrong result, ");
}

static unsigned kinds_wanted(const expectation &one) {
    if (simt::has_checker()) return one.check;
#if defined(__SANITIZE_ADDRESS__)
    return one.asan;
#else
    return one.plain;
#endif
}

static void test_defect(const expectation &one, const char *schedule, bool is_early) {
    const unsigned wanted = kinds_wanted(one);
    if (wanted == NOT_SEEN || (is_early && (wanted & LATE))) return;
    const lab_kernel *host = nullptr;
    for (const lab_kernel &candidate : lab_kernels) {
        if (strcmp(candidate.name, kernel_of_defect[one.defect]) == 0) host = &candidate;
    }
    fprintf(stderr, "defect %s, %s\n", one.name, schedule);
    // A wrong result may be the right one by chance: then other inputs are tried.
    unsigned kinds = 0;
    for (int i = 0; i == 0 || ((wanted & WRONG) && kinds == 0 && i < 10); i++) {
        const bool is_right = run_trial(host->make(&random_state), [&](lab_args *args) {
            spoil_arguments(one.defect, args);
            const int error = lab_launch_defect(one.defect, args);
            if (one.defect == LAB_FREED) args->a = nullptr;
            return error;
        });
        kinds = kinds_reported() | (is_right ? 0 : (unsigned)WRONG);
    }
    char reported[500], expected[500];
    describe_kinds(kinds, reported, sizeof reported);
    describe_kinds(wanted, expected, sizeof expected);
    check_count++;
    if ((kinds & wanted) == 0 || (kinds & ~(wanted | one.also)) != 0)
        CHECK_FAIL("%s: %s should be one of: %s", one.name, reported, expected);
}

// AddressSanitizer reports an address of the program once only, so that it gets one schedule.
static void test_defects(void) {
    CHECK_INT(EXPECTATIONS, LAB_DEFECTS_COUNT - 1);
    for (const auto &schedule : schedules) {
        simt::set_schedule(schedule.order, check_next(&random_state));
        simt::set_async_copies(schedule.early);
        for (const expectation &one : expectations) test_defect(one, schedule.name, schedule.early);
#if defined(__SANITIZE_ADDRESS__)
        break;
#endif
    }
}

// ---- what the lab cannot have, as a device has it for some types only

struct wide {
    int number;
    float fraction;
    unsigned char letters[8];
};

static void test_wide_shuffle(void) {
    wide *const out = static_cast<wide *>(simt::allocate(32 * sizeof(wide)));
    simt::launch("wide", dim3(1), dim3(32), 0, nullptr, [=] {
        const int lane = (int)threadIdx.x;
        const wide own = {lane, (float)lane / 4, {(unsigned char)lane, 2, 3, 4, 5, 6, 7, 8}};
        out[lane] = __shfl_xor_sync(0xffffffffu, own, 3);
    });
    CHECK_INT(simt::faults_in_all(), 0);
    for (int lane = 0; lane < 32; lane++) {
        CHECK_INT(out[lane].number, lane ^ 3);
        CHECK_NEAR(out[lane].fraction, (lane ^ 3) / 4.0, 0);
        CHECK_INT(out[lane].letters[0], lane ^ 3);
    }
    simt::release(out);
}

// ---- intrinsics

static void test_bits(void) {
    CHECK_INT(__byte_perm(0x33221100, 0x77665544, 0x5410), 0x55441100);
    CHECK_INT(__byte_perm(0x33221100, 0x77665544, 0x7632), 0x77663322);
    CHECK_INT(__byte_perm(0x80000000, 0x7f, 0xbc40), 0xff007f00);
    CHECK_INT(__clz(0), 32);
    CHECK_INT(__clz(1), 31);
    CHECK_INT(__clz(-1), 0);
    CHECK_INT(__ffs(0), 0);
    CHECK_INT(__ffs(8), 4);
    CHECK_INT(__popc(0xf0f0f0f0), 16);
    CHECK_INT(__brev(1), 0x80000000u);
    CHECK_INT(__float_as_uint(-2.0f), 0xc0000000u);
    CHECK_INT(min(-1, 1), -1);
    CHECK_INT(min(-1, 1u), 1);  // of unsigned numbers, as on a device
    CHECK_NEAR(max(NAN, 2.0f), 2, 0);
    CHECK_INT(sizeof(float3), 12);
    CHECK_INT(alignof(float4), 16);
    CHECK_INT(alignof(uchar4), 4);
    CHECK_INT(alignof(double2), 16);
}

// In a kernel of one thread, as the checks ask for one.
static void test_atomics(void) {
    int *const out = static_cast<int *>(simt::allocate(8 * sizeof(int)));
    const int before[8] = {5, 5, 5, 5, 5, 5, 5, 5};
    simt::write(out, before, sizeof before);
    simt::launch("atomics", dim3(1), dim3(1), 0, nullptr, [=] {
        unsigned *const words = reinterpret_cast<unsigned *>(out);
        atomicAdd(&out[0], -7);
        atomicMax(&out[1], atomicMin(&out[2], 3) + 1);  // of what was there: 5
        atomicExch(&out[3], atomicCAS(&out[4], 5, 9));
        atomicCAS(&out[4], 5, 11);
        atomicInc(&words[5], 5);
        atomicDec(&words[6], 2);
        atomicXor(&words[7], 6u);
    });
    static const int after[8] = {-2, 6, 3, 5, 9, 0, 2, 3};
    for (int i = 0; i < 8; i++) CHECK_INT(out[i], after[i]);
    CHECK_INT(simt::faults_in_all(), 0);
    simt::release(out);
}

// Off by no more than is documented, and not always right.
static void test_perturbed_math(void) {
    const unsigned long long n = 2000;
    unsigned n_moved = 0;
    for (unsigned long long i = 0; i < n; i++) {
        const float x = (float)((double)check_next(&random_state) * 0x1p-62 - 2);
        simt::set_perturbed_math(false);
        const float exact = exp2f(x), fast = __expf(x), logarithm = __logf(x + 2.5f);
        CHECK(exact == ::exp2f(x) && fast == ::expf(x));
        simt::set_perturbed_math(true);
        const double ulp = nextafterf(exact, INFINITY) - exact;
        CHECK_NEAR(exp2f(x), exact, 2 * ulp);
        CHECK_NEAR(__expf(x), fast, (2 + 1.173 * fabs(x)) * 2 * ulp);
        CHECK_NEAR(__logf(x + 2.5f), logarithm, fmax(0x1p-21, fabs(logarithm) * 0x1.8p-22));
        n_moved += exp2f(x) != exact;
    }
    simt::set_perturbed_math(false);
    CHECK(n_moved > n / 2 && n_moved < n);
}

int main(int argc, char **argv) {
    const unsigned long long seed =
        argc > 1 ? strtoull(argv[1], nullptr, 10) : (unsigned long long)time(nullptr);
    random_state.state = seed;
    printf("seed %llu\n", seed);
    test_kernels();
    test_wide_shuffle();
    test_bits();
    test_atomics();
    test_perturbed_math();
    test_defects();
    return check_result();
}
