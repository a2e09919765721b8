// SPDX-License-Identifier: Apache-2.0
//
// See lab.h. Each kernel has its defects beside the lines that they spoil, chosen at compile time.
#include "tests/simt/lab.h"

#include "cuda/gpu.cuh"

static const unsigned ALL = 0xffffffffu;
enum { LANES = 32, WARPS = LAB_THREADS / LANES };

// ---- block reduction: static shared memory, barriers, shuffles

template <int defect>
__device__ __forceinline__ float sum_of_warp(float x) {
    const int lane = (int)threadIdx.x % LANES;
    if (defect == LAB_LANES_LEFT && lane == 31) return 0;
    for (int d = defect == LAB_LOOP_STARTS_LATE ? 8 : 16; d > 0; d /= 2) {
        unsigned mask = ALL;
        if (defect == LAB_HALF_MASK) mask = 0xffff;
        if (defect == LAB_DIFFERENT_MASKS) mask = lane < 16 ? ALL : 0xfffffffeu;
        x += __shfl_xor_sync(mask, x, d);
    }
    return x;
}

template <int defect>
__device__ __forceinline__ float sum_of_block(float x) {
    __shared__ float part[defect == LAB_SHARED_ARRAY_TOO_SHORT ? WARPS - 1 : WARPS];
    const int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    x = sum_of_warp<defect>(x);
    if (defect == LAB_LANES_LEFT && lane == 31) return 0;
    if (defect == LAB_BARRIER_IN_BRANCH && warp == 1) __syncthreads();
    if (defect == LAB_BARRIER_WARP_WAITS_ELSEWHERE && warp == 1 && lane < 16) __syncwarp();
    if (defect != LAB_NO_BARRIER_BEFORE_REUSE) __syncthreads();
    if (lane == 0 && !(defect == LAB_SHARED_PARTLY_UNWRITTEN && warp == 1)) part[warp] = x;
    if (defect != LAB_NO_BARRIER_BEFORE_READ) __syncthreads();
    float sum = 0;
    for (int i = 0; i < (int)blockDim.x / LANES; i++) sum += part[i];
    return sum;
}

template <int defect>
__global__ void sum(lab_args args) {
    const float *x = static_cast<const float *>(args.a);
    float *out = static_cast<float *>(args.out);
    if (defect == LAB_TRAP && threadIdx.x == 5) __trap();
    float own = 0;
    const int end =
        defect == LAB_NO_BOUND ? (args.n + LAB_THREADS) / LAB_THREADS * LAB_THREADS : args.n;
    for (int i = (int)threadIdx.x; i < end; i += LAB_THREADS) own += x[i];
    const float once = sum_of_block<defect>(own), twice = once + sum_of_block<defect>(own);
    const int at = defect == LAB_BLOCKS_SHARE_RESULT ? 0 : (int)blockIdx.x;
    if (defect == LAB_RESULT_ADDED_TO) {
        if (threadIdx.x == 0) out[at] += twice;
    } else if (threadIdx.x == 0 || defect == LAB_ALL_LANES_WRITE) {
        out[at] = twice;
    }
}

// ---- lanes that exchange through memory

template <int defect>
__global__ void exchange(lab_args args) {
    __shared__ int values[LAB_THREADS];
    const int *a = static_cast<const int *>(args.a);
    const int i = (int)threadIdx.x, lane = i % LANES;
    unsigned mask = ALL;
    if (defect == LAB_SYNCWARP_OF_HALVES) mask = lane % 4 < 2 ? 0x33333333u : 0xccccccccu;
    values[i] = a[i];
    int result = 0;
    if (defect == LAB_ONLY_A_SHUFFLE_BETWEEN) {
        result += __shfl_sync(ALL, 0, 0);
    } else if (defect != LAB_NO_SYNCWARP) {
        __syncwarp(mask);
    }
    result += values[i ^ 1];
    if (defect == LAB_SYNCWARP_OF_HALVES) result += values[i ^ 2] - a[i ^ 2];
    if (defect != LAB_NO_SYNCWARP_BEFORE_REUSE) __syncwarp();
    values[i ^ 2] = a[i];
    __syncwarp();
    static_cast<int *>(args.out)[i] = result + values[i];
}

// ---- a tile of 16-bit elements in dynamic shared memory

enum { TILE = 32, TILE_PITCH = TILE + 2 };

template <int defect>
__global__ void transpose(lab_args args) {
    DYNAMIC_SHARED(unsigned short, tile);
    const unsigned short *a = static_cast<const unsigned short *>(args.a);
    unsigned short *out = static_cast<unsigned short *>(args.out);
    const int first = defect == LAB_DYNAMIC_BEFORE_BEGIN ? -1 : 0;
    for (int i = (int)threadIdx.x; i < TILE * TILE; i += LAB_THREADS) {
        if (defect == LAB_HALF_OF_WORDS_WRITTEN && i % 2 == 1) continue;
        tile[first + i / TILE * TILE_PITCH + i % TILE] = a[i];
    }
    if (defect != LAB_NO_BARRIER) __syncthreads();
    // Two rows of a column at a time, from words of two columns.
    for (int i = (int)threadIdx.x; i < TILE * TILE / 2; i += LAB_THREADS) {
        const int row = i / (TILE / 2), column = i % (TILE / 2) * 2;
        const unsigned word = *reinterpret_cast<const unsigned *>(tile + row * TILE_PITCH + column);
        out[column * TILE + row] = (unsigned short)(word & 0xffff);
        out[(column + 1) * TILE + row] = (unsigned short)(word >> 16);
    }
}

// ---- shuffles of 8 bytes, votes, atomics

template <int defect>
__global__ void neighbours(lab_args args) {
    const int i = (int)threadIdx.x, lane = i % LANES;
    const double own = static_cast<const double *>(args.a)[i];
    double before = 0;
    if (defect != LAB_SHUFFLE_IN_BRANCH || lane > 3) before = __shfl_up_sync(ALL, own, 1);
    const double after = __shfl_down_sync(ALL, own, 1);
    static_cast<double *>(args.out)[i] = lane == 0 || lane == 31 ? own : before + after;
}

template <int defect>
__global__ void votes(lab_args args) {
    const int i = (int)threadIdx.x, lane = i % LANES;
    const int own = static_cast<const int *>(args.a)[i];
    if (defect == LAB_VOTE_AGAINST_SHUFFLE && lane == 7) __shfl_sync(ALL, own, 0);
    unsigned ballot = 0;
    if (__any_sync(ALL, own > 0)) ballot = __ballot_sync(ALL, own > 0);
    if (__all_sync(ALL, own > 0) != (ballot == ALL)) ballot = 0;
    const int first = __ffs((int)ballot) - 1;
    // From the first lane that voted so; every lane has the same ballot.
    const unsigned from_first = __shfl_sync(ALL, ballot, first < 0 ? 0 : first);
    const int n_voters = __syncthreads_count(own > 0);
    if (lane == 0 && n_voters >= __popc(ballot))
        static_cast<unsigned *>(args.out)[i / LANES] = from_first;
}

template <int defect>
__global__ void count(lab_args args) {
    const int *a = static_cast<const int *>(args.a);
    int *out = static_cast<int *>(args.out);
    for (int i = (int)(blockIdx.x * LAB_THREADS + threadIdx.x); i < args.n; i += 2 * LAB_THREADS) {
        if (a[i] <= 0) continue;
        if (defect == LAB_PLAIN_ADD) {
            *out += 1;
        } else {
            atomicAdd(out, 1);
        }
    }
    if (defect == LAB_PLAIN_READ && *out < 0) atomicAdd(out, 1);
}

// ---- words of 16 bytes

__constant__ __align__(16) unsigned steps[4] = {0, 1, 2, 3};

// Thread 0's own variable, read by all.
__device__ __forceinline__ int read_of_thread_0() {
    __shared__ const int *of_thread_0;
    int own[2] = {0, 0};
    if (threadIdx.x == 0) of_thread_0 = own;
    __syncthreads();
    const int value = of_thread_0[threadIdx.x % 2];
    __syncthreads();
    return value;
}

template <int defect>
__global__ void copy(lab_args args) {
    const uint4 *a = static_cast<const uint4 *>(args.a);
    const unsigned *b = static_cast<const unsigned *>(args.b);
    if (defect == LAB_MISALIGNED)
        a = reinterpret_cast<const uint4 *>(static_cast<const unsigned *>(args.a) + 1);
    if (defect == LAB_OTHER_STACK && read_of_thread_0() != 0) return;
    int i = (int)(blockIdx.x * LAB_THREADS + threadIdx.x);
    if (i >= args.n) return;
    if (defect == LAB_OFF_BY_ONE_WORD && i == args.n - 1) i++;
    if (defect == LAB_BEFORE_BEGIN && i == 0) i--;
    uint4 word = a[i];
    word.x += b[0] + steps[i % 4];
    word.y += b[1];
    word.z += b[2];
    word.w += b[3];
    static_cast<uint4 *>(args.out)[i] = word;
}

template <int defect>
__global__ void bytes(lab_args args) {
    const unsigned char *a = static_cast<const unsigned char *>(args.a);
    unsigned char *out = static_cast<unsigned char *>(args.out);
    const int i = (int)(blockIdx.x * LAB_THREADS + threadIdx.x);
    out[i] = (unsigned char)(a[i] + 1);
    if (defect == LAB_NEIGHBOUR_TOO && i % 2 == 0) out[i + 1] = (unsigned char)(a[i + 1] + 1);
    if (defect == LAB_READS_NEIGHBOUR && out[i ^ 1] == 0) out[i] = 0;
}

// ---- a product of matrices: cp.async into two buffers, ldmatrix, mma

// A warp; b is [n, 8], read through the transposing load.
template <int defect>
__global__ void product(lab_args args) {
    enum { PITCH = defect == LAB_ODD_PITCH ? 20 : 24 };
    __shared__ __align__(16) __nv_bfloat16 tile_a[2][16][PITCH], tile_b[2][16][8];
    const __nv_bfloat16 *a = static_cast<const __nv_bfloat16 *>(args.a);
    const __nv_bfloat16 *b = static_cast<const __nv_bfloat16 *>(args.b);
    const int lane = (int)threadIdx.x, n_steps = args.n / 16;
    if (defect == LAB_LANE_AWAY && lane == 9) return;
    float d[4] = {0, 0, 0, 0};
    for (int step = 0; step <= n_steps; step++) {
        if (step < n_steps) {
            const int to = step % 2;
            cp_async16(&tile_a[to][lane / 2][lane % 2 * 8],
                       a + (size_t)(lane / 2) * args.n + step * 16 + lane % 2 * 8);
            if (lane < 16) cp_async16(&tile_b[to][lane][0], b + (size_t)(step * 16 + lane) * 8);
            cp_async_commit();
        }
        if (step == 0) continue;
        const int from = (step - 1) % 2;
        if (step < n_steps) {
            if (defect == LAB_WAITS_TOO_SHORT) cp_async_wait<2>();
            if (defect != LAB_NO_WAIT && defect != LAB_WAITS_TOO_SHORT) cp_async_wait<1>();
        } else {
            if (defect == LAB_COPY_LEFT_OVER && lane == 0) cp_async16(&tile_a[1 - from][0][0], a);
            if (defect == LAB_COPY_LEFT_OVER) cp_async_commit();
            if (defect == LAB_COPY_LEFT_OVER) cp_async_wait<1>();
            if (defect != LAB_COPY_LEFT_OVER && defect != LAB_NO_WAIT) cp_async_wait<0>();
        }
        if (defect != LAB_NO_SYNCWARP_AFTER_WAIT) __syncwarp();
        uint32_t words_a[4], words_b[4];
        ldmatrix_x4(words_a, &tile_a[from][lane % 16][lane / 16 * 8]);
        const void *row_b = &tile_b[from][lane % 16][0];
        if (defect == LAB_LOADS_FROM_GLOBAL) row_b = b + (size_t)((step - 1) * 16 + lane % 16) * 8;
        if (defect == LAB_NOT_TRANSPOSED) {
            ldmatrix_x4(words_b, row_b);
        } else {
            ldmatrix_x4_trans(words_b, row_b);
        }
        const uint32_t b_words[2] = {words_b[defect == LAB_OPERANDS_SWAPPED ? 1 : 0],
                                     words_b[defect == LAB_OPERANDS_SWAPPED ? 0 : 1]};
        mma_m16n8k16(d, words_a, b_words, __nv_bfloat16());
        if (defect != LAB_NO_SYNCWARP_AFTER_USE) __syncwarp();
    }
    float *out = static_cast<float *>(args.out);
    for (int i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

// ---- fp16 and bf16 arithmetic

__global__ void formats(lab_args args) {
    const int i = (int)threadIdx.x;
    const float a = static_cast<const float *>(args.a)[i],
                b = static_cast<const float *>(args.b)[i];
    float *out = static_cast<float *>(args.out) + 4 * i;
    const __half2 halves = __floats2half2_rn(a, b);
    const __half half_a = __low2half(halves), half_b = __high2half(halves);
    out[0] = __half2float(__hadd(half_a, half_b));
    out[1] = __half2float(__hmul(half_a, half_b));
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    const float2 back = __bfloat1622float2(__hadd2(pair, __halves2bfloat162(pair.y, pair.y)));
    out[2] = back.x;
    out[3] = __bfloat162float(__hmul(pair.x, pair.y));
}

// ---- launches

static launch_shape shape_of(const char *name, unsigned n_blocks, unsigned n_threads) {
    return {name, dim3(n_blocks), dim3(n_threads), 0, nullptr};
}

template <int defect>
static int launch_sum(const lab_args &args) {
    const unsigned n_threads = defect == LAB_NO_THREADS         ? 0
                               : defect == LAB_TOO_MANY_THREADS ? 1025
                                                                : LAB_THREADS;
    return launch(shape_of("sum", LAB_BLOCKS, n_threads), sum<defect>, args);
}

template <int defect>
static int launch_exchange(const lab_args &args) {
    return launch(shape_of("exchange", 1, LAB_THREADS), exchange<defect>, args);
}

template <int defect>
static int launch_transpose(const lab_args &args) {
    launch_shape shape = shape_of("transpose", 1, LAB_THREADS);
    shape.shared_nbytes = TILE * TILE_PITCH * sizeof(unsigned short);
    if (defect == LAB_DYNAMIC_TOO_SMALL) shape.shared_nbytes -= 16;
    if (defect == LAB_DYNAMIC_TOO_LARGE) shape.shared_nbytes = (48 << 10) + 16;
    return launch(shape, transpose<defect>, args);
}

template <int defect>
static int launch_neighbours(const lab_args &args) {
    return launch(shape_of("neighbours", 1, LAB_THREADS), neighbours<defect>, args);
}

template <int defect>
static int launch_votes(const lab_args &args) {
    return launch(shape_of("votes", 1, LAB_THREADS), votes<defect>, args);
}

template <int defect>
static int launch_count(const lab_args &args) {
    return launch(shape_of("count", 2, LAB_THREADS), count<defect>, args);
}

template <int defect>
static int launch_copy(const lab_args &args) {
    const unsigned n_blocks = ((unsigned)args.n + LAB_THREADS - 1) / LAB_THREADS;
    return launch(shape_of("copy", n_blocks, LAB_THREADS), copy<defect>, args);
}

template <int defect>
static int launch_bytes(const lab_args &args) {
    return launch(shape_of("bytes", LAB_BLOCKS, LAB_THREADS), bytes<defect>, args);
}

template <int defect>
static int launch_product(const lab_args &args) {
    return launch(shape_of("product", 1, LANES), product<defect>, args);
}

template <int>
static int launch_formats(const lab_args &args) {
    return launch(shape_of("formats", 1, LAB_THREADS), formats, args);
}

#define DEFINE_LAUNCHER(kernel)                       \
    int lab_##kernel(const lab_args *args) {          \
        return launch_##kernel<LAB_NO_DEFECT>(*args); \
    }
DEFINE_LAUNCHER(sum)
DEFINE_LAUNCHER(exchange)
DEFINE_LAUNCHER(transpose)
DEFINE_LAUNCHER(neighbours)
DEFINE_LAUNCHER(votes)
DEFINE_LAUNCHER(count)
DEFINE_LAUNCHER(copy)
DEFINE_LAUNCHER(bytes)
DEFINE_LAUNCHER(product)
DEFINE_LAUNCHER(formats)

#if !defined(__CUDACC__)
#define CASE(kernel, defect) \
    case LAB_##defect:       \
        return launch_##kernel<LAB_##defect>(*args);
int lab_launch_defect(lab_defect defect, const lab_args *args) {
    switch (defect) {
        LAB_DEFECTS(CASE)
        default:
            return cudaErrorInvalidValue;
    }
}
#endif
