/* What this machine can do at most, on request: `limits THREADS` answers each line of its input with one number.
 *
 *   fma         f32 operations a second, in registers
 *   read BYTES  bytes a second, read over and over from BYTES that the threads share out
 *
 * cc -O3 -march=native -fopenmp limits.c -o limits. Each answer is the best of five short tries.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#define CHAINS 10 /* covers a latency of 4 to 5 cycles at 2 a cycle, and leaves registers for operands */

/* Keeps arrays of accumulators in registers. */
#define UNROLLED _Pragma("GCC unroll 16")

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef float unaligned __attribute__((vector_size(4 * LANES), aligned(4)));

static vector sink;

static double fma_rate(int threads) {
    const long rounds = 2000000;
    double best = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        double begun = omp_get_wtime();
#pragma omp parallel num_threads(threads)
        {
            vector a[CHAINS], x, y;
            for (int i = 0; i < LANES; i++) x[i] = 0.999f, y[i] = 0.001f;
            UNROLLED
            for (int c = 0; c < CHAINS; c++) a[c] = x * (float)c;
            for (long r = 0; r < rounds; r++) {
                UNROLLED
                for (int c = 0; c < CHAINS; c++) {
                    a[c] = a[c] * x + y;
                    __asm__("" : "+x"(a[c]));
                }
            }
            vector sum = a[0];
            UNROLLED
            for (int c = 1; c < CHAINS; c++) sum += a[c];
#pragma omp critical
            sink += sum;
        }
        double rate = 2.0 * LANES * CHAINS * rounds * threads / (omp_get_wtime() - begun);
        best = rate > best ? rate : best;
    }
    return best;
}

static vector read_all(const float *data, size_t count) {
    vector a[8] = {0};
    for (size_t i = 0; i + 8 * LANES <= count; i += 8 * LANES) {
        UNROLLED
        for (int c = 0; c < 8; c++) a[c] += *(const unaligned *)(data + i + c * LANES);
    }
    UNROLLED
    for (int c = 1; c < 8; c++) a[0] += a[c];
    return a[0];
}

static double read_rate(int threads, size_t bytes, float *data) {
    size_t count = bytes / 4 / threads;
    long rounds = 1 + (64 << 20) / bytes;
    double best = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        double begun = omp_get_wtime();
#pragma omp parallel num_threads(threads)
        {
            vector sum = {0};
            for (long r = 0; r < rounds; r++) {
                sum += read_all(data + count * omp_get_thread_num(), count);
                __asm__ volatile("" ::: "memory");
            }
#pragma omp critical
            sink += sum;
        }
        double rate = 4.0 * count * threads * rounds / (omp_get_wtime() - begun);
        best = rate > best ? rate : best;
    }
    return best;
}

int main(int argc, char **argv) {
    const size_t most = (size_t)1 << 30;
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    float *data = malloc(most);
    memset(data, 1, most);
    size_t bytes;
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "read %zu", &bytes) == 1)
            printf("%.6e\n", read_rate(threads, bytes < most ? bytes : most, data));
        else
            printf("%.6e\n", fma_rate(threads));
        fflush(stdout);
    }
    return sink[0] == 0.5f;
}
