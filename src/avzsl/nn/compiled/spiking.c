/* The spiking block on a CPU: convolution, gate and neurons, forward and backward.

   Each function repeats a formula of avzsl/nn/{convolution,gate,threshold}.py, which hold the derivations and are the
   oracle. Forward passes round exactly as the plain forms do (compile with -ffp-contract=off), because a spike is a
   comparison; backward passes may add in another order. Sums over the batch are taken in a fixed number of pieces, so
   that the number of threads changes no bit.

   The file includes itself once for each precision. */

#ifndef REAL

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PIECES 64 /* of the batch, each summed by itself */

enum { RESET_HARD, RESET_SOFT, RESET_NONE };
enum { ATAN, FAST_SIGMOID, RECTANGLE, STRAIGHT_THROUGH };

/* What the caller says about the neurons; doubles, rounded where they are used. */
typedef struct {
    int64_t steps, rows, channels, positions;
    int64_t reset, detach_reset, surrogate, dynamic, threads;
    double rate; /* 1 / tau */
    double v_rest, v_reset, alpha, start, direction, low, high;
} neurons;

#define REAL float
#define NAME(x) x##_f32
#define LANES 16
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__)
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "spiking.c"
#undef REAL
#undef NAME
#undef LANES
#undef FMA

#define REAL double
#define NAME(x) x##_f64
#define LANES 8
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__aarch64__)
#define FMA(a, b, c) __builtin_fma(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "spiking.c"

#else /* one precision */

typedef REAL NAME(vector) __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));
#define VECTOR NAME(vector)

/* ---- neurons ---------------------------------------------------------------------------------------------------- */

/* Charge, fire and reset n neurons of one channel; the number of spikes. U = V + (I - V) / tau, rounded as torch.lerp
   rounds it: from V where tau > 2, else from I. What is constant at the call shapes the loop. */
static inline __attribute__((always_inline)) REAL NAME(step)(
    const REAL *restrict drive, REAL *restrict v, REAL *restrict u_out, REAL *restrict s_out, int64_t n,
    REAL threshold, REAL rate, REAL v_rest, REAL v_reset, const int64_t reset, const int from_v, const int keep_u,
    const int keep_s) {
    REAL count = 0;
#pragma omp simd reduction(+ : count)
    for (int64_t i = 0; i < n; i++) {
        const REAL now = drive[i] + v_rest, before = v[i];
        const REAL u = from_v ? FMA(rate, now - before, before) : FMA(rate - 1, now - before, now);
        const REAL s = u >= threshold ? 1 : 0;
        if (keep_u) u_out[i] = u;
        if (keep_s) s_out[i] = s;
        count += s;
        if (reset == RESET_HARD) v[i] = u >= threshold ? v_reset : u;
        else if (reset == RESET_SOFT) v[i] = u - s * threshold;
        else v[i] = u;
    }
    return count;
}

#define STEP(how, from_v, u, s) NAME(step)(drive, v, u_out, s_out, n, threshold, rate, v_rest, v_reset, how, from_v, u, s)
#define STEP_KEEPING(how, from_v)                                                                                      \
    return u_out && s_out ? STEP(how, from_v, 1, 1)                                                                    \
           : u_out        ? STEP(how, from_v, 1, 0)                                                                    \
                          : STEP(how, from_v, 0, 1)

static REAL NAME(charge_and_fire)(const REAL *drive, REAL *v, REAL *u_out, REAL *s_out, int64_t n, REAL threshold,
                                  REAL rate, REAL v_rest, REAL v_reset, int64_t reset) {
    const int from_v = rate < (REAL)0.5;
    if (reset == RESET_HARD && from_v) STEP_KEEPING(RESET_HARD, 1);
    if (reset == RESET_HARD) STEP_KEEPING(RESET_HARD, 0);
    if (reset == RESET_SOFT && from_v) STEP_KEEPING(RESET_SOFT, 1);
    if (reset == RESET_SOFT) STEP_KEEPING(RESET_SOFT, 0);
    if (from_v) STEP_KEEPING(RESET_NONE, 1);
    STEP_KEEPING(RESET_NONE, 0);
}

/* All steps of one row of the batch: [C, P] neurons.
   current: [distinct, .., C, P], gate: [distinct, .., C]; `wide` and `narrow` are what one step adds to an offset.
   entropy: [C P + 1], H by number of spikes. v: [C, P], the membrane, starts as the caller left it. */
static void NAME(forward_row)(const neurons *p, const int64_t *inputs, const REAL *current, const REAL *gate,
                              int64_t wide, int64_t narrow, const REAL *entropy, REAL *v, REAL *spikes, REAL *charged,
                              REAL *thresholds) {
    const int64_t T = p->steps, C = p->channels, P = p->positions;
    for (int64_t t = 0; t < T; t++) {
        const int64_t d = inputs ? inputs[t] : t;
        REAL count = 0;
        for (int64_t c = 0; c < C; c++) {
            const REAL threshold = thresholds ? thresholds[t * narrow + c] : (REAL)p->start;
            const int64_t at = t * wide + c * P;
            count += NAME(charge_and_fire)(current + d * wide + c * P, v + c * P, charged ? charged + at : 0,
                                           spikes ? spikes + at : 0, P, threshold, (REAL)p->rate, (REAL)p->v_rest,
                                           (REAL)p->v_reset, p->reset);
        }
        if (!p->dynamic || !entropy || t + 1 == T) continue;
        const REAL h = (REAL)p->direction * entropy[(int64_t)count];
        for (int64_t c = 0; c < C; c++) {
            REAL next = (gate[d * narrow + c] + h) * thresholds[t * narrow + c];
            if (next < (REAL)p->low) next = (REAL)p->low;
            if (next > (REAL)p->high) next = (REAL)p->high;
            thresholds[(t + 1) * narrow + c] = next;
        }
    }
}

static inline __attribute__((always_inline)) REAL NAME(slope)(REAL x, const int64_t surrogate, REAL a, REAL b) {
    if (surrogate == ATAN) return 1 / (a + (b * x) * (b * x));
    const REAL size = x < 0 ? -x : x;
    if (surrogate == FAST_SIGMOID) return 1 / ((1 + a * size) * (1 + a * size));
    if (surrogate == RECTANGLE) return size < b ? a : 0;
    return a;
}

/* One step backwards for n neurons of one channel; the sum of the gradients of x = U - V_th.
   state: gradient of V[t], becomes that of V[t - 1]. extra: what the next threshold sends to every spike. */
static inline __attribute__((always_inline)) REAL NAME(unstep)(
    const REAL *restrict u, const REAL *restrict from_spikes, REAL *restrict state, REAL *restrict to_current,
    int64_t n, REAL threshold, REAL extra, REAL rate, REAL v_reset, REAL through, const int add,
    const int64_t surrogate, const int64_t reset, REAL a, REAL b) {
    const REAL keep = 1 - rate;
    REAL total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < n; i++) {
        const REAL g = state[i], x = u[i] - threshold;
        REAL to_s = from_spikes[i] + extra;
        if (reset == RESET_HARD) to_s += through * g * (v_reset - u[i]);
        if (reset == RESET_SOFT) to_s -= through * g * threshold;
        const REAL to_x = NAME(slope)(x, surrogate, a, b) * to_s;
        const REAL kept = reset == RESET_HARD ? (x >= 0 ? 0 : g) : g;
        const REAL to_u = to_x + kept;
        total += to_x;
        if (add) to_current[i] += to_u * rate;
        else to_current[i] = to_u * rate;
        state[i] = to_u * keep;
    }
    return total;
}

#define UNSTEP(kind, how, add)                                                                                         \
    NAME(unstep)(u, g, state, to, n, threshold, extra, rate, v_reset, through, add, kind, how, a, b)
#define UNSTEP_ADDING(kind, how) (add ? UNSTEP(kind, how, 1) : UNSTEP(kind, how, 0))
#define UNSTEP_BY_RESET(kind)                                                                                          \
    (reset == RESET_HARD   ? UNSTEP_ADDING(kind, RESET_HARD)                                                           \
     : reset == RESET_SOFT ? UNSTEP_ADDING(kind, RESET_SOFT)                                                           \
                           : UNSTEP_ADDING(kind, RESET_NONE))

static REAL NAME(uncharge)(const REAL *u, const REAL *g, REAL *state, REAL *to, int64_t n, REAL threshold, REAL extra,
                           const neurons *p, int add) {
    const double pi = 3.14159265358979323846;
    const REAL rate = (REAL)p->rate, v_reset = (REAL)p->v_reset, through = p->detach_reset ? 0 : 1;
    const int64_t reset = p->reset;
    REAL a = (REAL)p->alpha, b = 0;
    switch (p->surrogate) {
    case ATAN:
        a = (REAL)(2 / p->alpha), b = (REAL)(pi / 2 * p->alpha * sqrt(2 / p->alpha));
        return UNSTEP_BY_RESET(ATAN);
    case FAST_SIGMOID:
        return UNSTEP_BY_RESET(FAST_SIGMOID);
    case RECTANGLE:
        b = (REAL)(0.5 / p->alpha);
        return UNSTEP_BY_RESET(RECTANGLE);
    default:
        return UNSTEP_BY_RESET(STRAIGHT_THROUGH);
    }
}

/* Backpropagation through time for one row. charged: [T, C, P] of this row, without gaps. */
static void NAME(backward_row)(const neurons *p, const int64_t *inputs, const REAL *charged, const REAL *counts,
                               const REAL *from_spikes, const REAL *gate, const REAL *thresholds, int64_t wide,
                               int64_t narrow, const REAL *entropy, const REAL *entropy_slope, REAL *state,
                               REAL *to_threshold, REAL *to_current, REAL *to_gate) {
    const int64_t T = p->steps, C = p->channels, P = p->positions;
    for (int64_t t = T - 1; t >= 0; t--) {
        const int64_t d = inputs ? inputs[t] : t;
        const int add = inputs && t + 1 < T && inputs[t + 1] == d;
        REAL extra = 0;
        if (p->dynamic && t + 1 < T) {
            const int64_t n = (int64_t)counts[t];
            REAL sum = 0;
            for (int64_t c = 0; c < C; c++) {
                const REAL threshold = thresholds[t * narrow + c];
                const REAL factor = gate[d * narrow + c] + (REAL)p->direction * entropy[n];
                const REAL product = factor * threshold;
                const REAL inside = product >= (REAL)p->low && product <= (REAL)p->high ? to_threshold[c] : 0;
                to_gate[d * narrow + c] += inside * threshold;
                sum += inside * threshold;
                to_threshold[c] = inside * factor;
            }
            extra = sum * entropy_slope[n] * (REAL)p->direction;
        }
        for (int64_t c = 0; c < C; c++) {
            const REAL threshold = thresholds ? thresholds[t * narrow + c] : (REAL)p->start;
            const REAL *u = charged + (t * C + c) * P;
            if (p->dynamic && p->reset == RESET_SOFT) {
                REAL sum = 0;
                for (int64_t i = 0; i < P; i++) sum += u[i] >= threshold ? state[c * P + i] : 0;
                to_threshold[c] -= sum;
            }
            const REAL total = NAME(uncharge)(u, from_spikes + t * wide + c * P, state + c * P,
                                              to_current + d * wide + c * P, P, threshold, extra, p, add);
            if (p->dynamic) to_threshold[c] -= total;
        }
    }
}

/* A block of neurons (threshold.py: dynamic_lif).
   current [D, B, C, P], gate [D, B, C], inputs [T] or null (step t sees input t), entropy [C P + 1];
   spikes and, unless null, charged [T, B, C, P]; thresholds [T, B, C], whose first step is filled in. */
int NAME(dynamic_forward)(const neurons *p, const int64_t *inputs, const REAL *current, const REAL *gate,
                          const REAL *entropy, REAL *spikes, REAL *charged, REAL *thresholds) {
    const int64_t B = p->rows, N = p->channels * p->positions, C = p->channels;
    int failed = 0;
#pragma omp parallel num_threads(p->threads)
    {
        REAL *v = malloc(sizeof(REAL) * (N ? N : 1));
        if (!v) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t b = 0; b < B; b++) {
            if (!v) continue;
            for (int64_t i = 0; i < N; i++) v[i] = (REAL)p->v_rest;
            NAME(forward_row)(p, inputs, current + b * N, gate + b * C, B * N, B * C, entropy, v, spikes + b * N,
                              charged ? charged + b * N : 0, thresholds + b * C);
        }
        free(v);
    }
    return failed;
}

/* Its gradients: to_current [D, B, C, P]; to_gate [D, B, C] must be zeros. The potentials are computed again. */
int NAME(dynamic_backward)(const neurons *p, const int64_t *inputs, const REAL *current, const REAL *gate,
                           const REAL *thresholds, const REAL *entropy, const REAL *entropy_slope,
                           const REAL *from_spikes, REAL *to_current, REAL *to_gate) {
    const int64_t T = p->steps, B = p->rows, C = p->channels, N = C * p->positions;
    int failed = 0;
#pragma omp parallel num_threads(p->threads)
    {
        REAL *room = malloc(sizeof(REAL) * (T * N + N + C + T));
        REAL *state = room + T * N, *to_threshold = state + N, *counts = to_threshold + C;
        if (!room) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t b = 0; b < B; b++) {
            if (!room) continue;
            for (int64_t i = 0; i < N; i++) state[i] = (REAL)p->v_rest;
            /* the thresholds are known: each step is charged and fired against its own */
            for (int64_t t = 0; t < T; t++) {
                const int64_t d = inputs ? inputs[t] : t;
                REAL count = 0;
                for (int64_t c = 0; c < C; c++) {
                    count += NAME(charge_and_fire)(current + (d * B + b) * N + c * p->positions,
                                                   state + c * p->positions, room + t * N + c * p->positions, 0,
                                                   p->positions, thresholds[(t * B + b) * C + c], (REAL)p->rate, (REAL)p->v_rest,
                                                   (REAL)p->v_reset, p->reset);
                }
                counts[t] = count;
            }
            for (int64_t i = 0; i < N; i++) state[i] = 0;
            for (int64_t c = 0; c < C; c++) to_threshold[c] = 0;
            NAME(backward_row)(p, inputs, room, counts, from_spikes + b * N, gate + b * C, thresholds + b * C, B * N,
                               B * C, entropy, entropy_slope, state, to_threshold, to_current + b * N,
                               to_gate + b * C);
        }
        free(room);
    }
    return failed;
}

/* Neurons against one fixed threshold (lif.py: lif), in tiles of p->positions of the `size` neurons of a step.
   current [T, size], membrane [size] before and last [size] after the steps; charged may be null. */
int NAME(plain_forward)(const neurons *p, int64_t size, const REAL *current, const REAL *membrane, REAL *spikes,
                        REAL *charged, REAL *last) {
    const int64_t tile = p->positions, tiles = (size + tile - 1) / tile;
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t k = 0; k < tiles; k++) {
        const int64_t from = k * tile, n = from + tile < size ? tile : size - from;
        neurons own = *p;
        own.channels = 1, own.positions = n, own.dynamic = 0;
        memcpy(last + from, membrane + from, sizeof(REAL) * n);
        NAME(forward_row)(&own, 0, current + from, 0, size, 0, 0, last + from, spikes + from,
                          charged ? charged + from : 0, 0);
    }
    return 0;
}

/* Its gradients: to_current [T, size]; to_membrane [size] holds the gradient of `last` and receives that of `membrane`. */
int NAME(plain_backward)(const neurons *p, int64_t size, const REAL *current, const REAL *membrane,
                         const REAL *from_spikes, REAL *to_current, REAL *to_membrane) {
    const int64_t tile = p->positions, tiles = (size + tile - 1) / tile, T = p->steps;
    int failed = 0;
#pragma omp parallel num_threads(p->threads)
    {
        REAL *room = malloc(sizeof(REAL) * (T * tile + tile)), *v = room + T * tile;
        if (!room) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t k = 0; k < tiles; k++) {
            if (!room) continue;
            const int64_t from = k * tile, n = from + tile < size ? tile : size - from;
            neurons own = *p;
            own.channels = 1, own.positions = n, own.dynamic = 0;
            memcpy(v, membrane + from, sizeof(REAL) * n);
            for (int64_t t = 0; t < T; t++)
                NAME(charge_and_fire)(current + t * size + from, v, room + t * n, 0, n, (REAL)p->start, (REAL)p->rate,
                                      (REAL)p->v_rest, (REAL)p->v_reset, p->reset);
            NAME(backward_row)(&own, 0, room, 0, from_spikes + from, 0, 0, size, 0, 0, 0, to_membrane + from, 0,
                               to_current + from, 0);
        }
        free(room);
    }
    return failed;
}

/* ---- gate ------------------------------------------------------------------------------------------------------- */

/* Sum and sum of squares of each channel of values [M, C, P] less its first one, in double precision: sums [2 C].
   Of the values themselves, the squares would lose the digits that the variance is made of. */
int NAME(channel_sums)(int64_t M, int64_t C, int64_t P, const REAL *values, double *sums, int64_t threads) {
    double *parts = calloc((size_t)(PIECES * 2 * C), sizeof(double));
    if (!parts) return 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t piece = 0; piece < PIECES; piece++) {
        double *part = parts + piece * 2 * C;
        for (int64_t m = M * piece / PIECES; m < M * (piece + 1) / PIECES; m++)
            for (int64_t c = 0; c < C; c++) {
                const REAL *restrict x = values + (m * C + c) * P;
                const double first = values[c * P];
                double sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum, squares)
                for (int64_t i = 0; i < P; i++) {
                    const double value = x[i] - first;
                    sum += value;
                    squares += value * value;
                }
                part[c] += sum, part[C + c] += squares;
            }
    }
    for (int64_t i = 0; i < 2 * C; i++) {
        sums[i] = 0;
        for (int64_t piece = 0; piece < PIECES; piece++) sums[i] += parts[piece * 2 * C + i];
    }
    free(parts);
    return 0;
}

/* Normalise, pool and gate up to the logistic, which the caller takes: out [M, C, P] and pool [M, C].
   of_top, of_mean: the shares of the maximum and of the mean in the pool. */
int NAME(gate_forward)(int64_t M, int64_t C, int64_t P, const REAL *values, const REAL *scale, const REAL *shift,
                       double of_top, double of_mean, int64_t gate, REAL *out, REAL *pool, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < M * C; row++) {
        const REAL *restrict x = values + row * P, k = scale[row % C], b = shift[row % C];
        REAL *restrict y = out + row * P;
        REAL top = b + x[0] * k;
        double sum = 0;
#pragma omp simd reduction(max : top) reduction(+ : sum)
        for (int64_t i = 0; i < P; i++) {
            const REAL current = b + x[i] * k;
            y[i] = current;
            top = current > top ? current : top;
            sum += current;
        }
        const REAL largest = (REAL)of_top * top, mean = (REAL)of_mean * (REAL)(sum / P), all = largest + mean;
        pool[row] = all;
        if (!gate) continue;
#pragma omp simd
        for (int64_t i = 0; i < P; i++) y[i] = y[i] + all * y[i];
    }
    return 0;
}

/* Gradients of batch norm, pooling and gate (gate.py).
   values, out, from_out, to_values [M, C, P]; pool, from_pool [M, C]; weight, mean, inverse, scale, shift [C].
   sums: [2 C + 1], sum of g and of g (x - mean) for each channel, and the gradient of beta. */
int NAME(gate_backward)(int64_t M, int64_t C, int64_t P, const REAL *values, const REAL *out, const REAL *pool,
                        const REAL *from_out, const REAL *from_pool, const REAL *weight, const REAL *mean,
                        const REAL *inverse, const REAL *scale, const REAL *shift, double beta, int64_t gate,
                        int64_t training, REAL *to_values, double *sums, int64_t threads) {
    const int64_t width = 2 * C + 1;
    double *parts = calloc((size_t)(PIECES * width), sizeof(double));
    REAL *slope = calloc((size_t)(2 * C), sizeof(REAL)), *constant = slope + C;
    if (!parts || !slope) {
        free(parts), free(slope);
        return 1;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t piece = 0; piece < PIECES; piece++) {
        double *part = parts + piece * width;
        for (int64_t m = M * piece / PIECES; m < M * (piece + 1) / PIECES; m++)
            for (int64_t c = 0; c < C; c++) {
                const int64_t row = m * C + c;
                const REAL *restrict x = values + row * P, *restrict y = out + row * P, *restrict g = from_out + row * P;
                REAL *restrict to = to_values + row * P;
                const REAL k = scale[c], b = shift[c], middle = mean[c];
                REAL top = b + x[0] * k, sum = 0, inner = 0, ties = 0, total = 0, moment = 0;
#pragma omp simd reduction(max : top) reduction(+ : sum, inner)
                for (int64_t i = 0; i < P; i++) {
                    const REAL current = b + x[i] * k;
                    top = current > top ? current : top;
                    sum += current;
                    const REAL s = (y[i] - y[i] * y[i]) * g[i];
                    to[i] = s;
                    inner += s * current;
                }
#pragma omp simd reduction(+ : ties)
                for (int64_t i = 0; i < P; i++) ties += b + x[i] * k == top ? 1 : 0;
                const REAL to_pool = from_pool[row] + (gate ? inner : 0), by = gate ? pool[row] + 1 : 1;
                const REAL share = to_pool * (REAL)(0.5 + beta) / ties, rest = to_pool * (REAL)((1.5 - beta) / P);
#pragma omp simd reduction(+ : total, moment)
                for (int64_t i = 0; i < P; i++) {
                    const REAL value = to[i] * by + rest + (b + x[i] * k == top ? share : 0);
                    to[i] = value;
                    total += value;
                    moment += value * (x[i] - middle);
                }
                part[c] += total;
                part[C + c] += moment;
                part[2 * C] += (double)to_pool * (top - sum / P);
            }
    }
    for (int64_t i = 0; i < width; i++) {
        sums[i] = 0;
        for (int64_t piece = 0; piece < PIECES; piece++) sums[i] += parts[piece * width + i];
    }
    if (training)
        for (int64_t c = 0; c < C; c++) {
            const double count = (double)M * P, cube = (double)inverse[c] * inverse[c] * inverse[c];
            const double s = -weight[c] * cube * sums[C + c] / count;
            slope[c] = (REAL)s;
            constant[c] = (REAL)(-scale[c] * sums[c] / count - s * mean[c]);
        }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < M * C; row++) {
        const int64_t c = row % C;
        const REAL *restrict x = values + row * P;
        REAL *restrict to = to_values + row * P;
        const REAL k = scale[c], s = slope[c], b = constant[c];
#pragma omp simd
        for (int64_t i = 0; i < P; i++) to[i] = to[i] * k + (x[i] * s + b);
    }
    free(parts), free(slope);
    return 0;
}

/* ---- convolution ------------------------------------------------------------------------------------------------ */

/* Rows of even and odd positions with zeros before and behind them; `stride` numbers each, data from LANES on. */
static inline int64_t NAME(stride)(int64_t half) { return (half + LANES - 1) / LANES * LANES + 2 * LANES; }

static void NAME(split)(const REAL *restrict x, int64_t half, REAL *restrict even, REAL *restrict odd) {
    for (int64_t i = 0; i < half; i++) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
}

#define LOAD(pointer) (*(const VECTOR *)(pointer))

static void NAME(store)(REAL *to, VECTOR value, int64_t room) {
    if (room >= LANES)
        *(VECTOR *)to = value;
    else
        memcpy(to, &value, sizeof(REAL) * room);
}

/* out[m, o, p] = sum_c sum_j w[o, c, j] x[m, c, 2 p - 1 + j], added in this order. x [M, C, 2 half], w [O, C, 4]. */
int NAME(convolution_forward)(int64_t M, int64_t C, int64_t O, int64_t half, const REAL *x, const REAL *w, REAL *out,
                              int64_t threads) {
    const int64_t stride = NAME(stride)(half);
    int failed = 0;
#pragma omp parallel num_threads(threads)
    {
        REAL *room = calloc((size_t)(2 * C * stride), sizeof(REAL));
        if (!room) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t m = 0; m < M; m++) {
            if (!room) continue;
            for (int64_t c = 0; c < C; c++)
                NAME(split)(x + (m * C + c) * 2 * half, half, room + 2 * c * stride + LANES,
                            room + (2 * c + 1) * stride + LANES);
            for (int64_t o = 0; o < O; o += 4)
                for (int64_t p = 0; p < half; p += LANES) {
                    VECTOR sum[4] = {{0}, {0}, {0}, {0}};
                    const int64_t many = O - o < 4 ? O - o : 4;
                    for (int64_t c = 0; c < C; c++) {
                        const REAL *even = room + 2 * c * stride + LANES + p, *odd = even + stride;
                        const VECTOR x0 = LOAD(odd - 1), x1 = LOAD(even), x2 = LOAD(odd), x3 = LOAD(even + 1);
#pragma GCC unroll 4
                        for (int64_t k = 0; k < 4; k++) {
                            const REAL *tap = w + ((o + (k < many ? k : 0)) * C + c) * 4;
                            sum[k] = sum[k] + tap[0] * x0;
                            sum[k] = sum[k] + tap[1] * x1;
                            sum[k] = sum[k] + tap[2] * x2;
                            sum[k] = sum[k] + tap[3] * x3;
                        }
                    }
                    for (int64_t k = 0; k < many; k++) NAME(store)(out + (m * O + o + k) * half + p, sum[k], half - p);
                }
        }
        free(room);
    }
    return failed;
}

/* Add what `many` rows say about the weights to sums [O, C, 4] of vectors. split: [many, 2 C, stride],
   gradient: [many, O, stride]. */
static void NAME(add_weight_gradient)(int64_t many, int64_t C, int64_t O, int64_t half, const REAL *split,
                                      const REAL *gradient, VECTOR *sums) {
    const int64_t stride = NAME(stride)(half);
    for (int64_t c = 0; c < C; c++)
        for (int64_t o = 0; o < O; o += 4) {
            const int64_t last = O - o < 4 ? O - o : 4;
            VECTOR sum[4][4];
            memset(sum, 0, sizeof sum);
            for (int64_t m = 0; m < many; m++) {
                const REAL *even = split + (2 * m * C + 2 * c) * stride + LANES, *odd = even + stride;
                const REAL *g = gradient + (m * O + o) * stride + LANES;
                /* where fewer than four are left, the last one is taken again and thrown away */
                const REAL *g1 = g + (last > 1 ? 1 : 0) * stride, *g2 = g + (last > 2 ? 2 : 0) * stride,
                           *g3 = g + (last > 3 ? 3 : 0) * stride;
                for (int64_t p = 0; p < half; p += LANES) { /* behind its last position a gradient is zero */
                    const VECTOR x[4] = {LOAD(odd + p - 1), LOAD(even + p), LOAD(odd + p), LOAD(even + p + 1)};
                    const VECTOR now[4] = {LOAD(g + p), LOAD(g1 + p), LOAD(g2 + p), LOAD(g3 + p)};
#pragma GCC unroll 4
                    for (int k = 0; k < 4; k++) {
#pragma GCC unroll 4
                        for (int j = 0; j < 4; j++) sum[k][j] += now[k] * x[j];
                    }
                }
            }
            for (int64_t k = 0; k < last; k++)
                for (int64_t j = 0; j < 4; j++) sums[((o + k) * C + c) * 4 + j] += sum[k][j];
        }
}

/* The inputs' gradient of one row; gradient: [O, stride]. */
static void NAME(spread)(int64_t C, int64_t O, int64_t half, const REAL *w, const REAL *gradient, REAL *to_x) {
    const int64_t stride = NAME(stride)(half);
    for (int64_t c = 0; c < C; c++) {
        REAL *restrict row = to_x + c * 2 * half;
        for (int64_t p = 0; p < half; p += LANES) {
            VECTOR even = {0}, odd = {0};
            for (int64_t o = 0; o < O; o++) {
                const REAL *now = gradient + o * stride + LANES + p, *tap = w + (o * C + c) * 4;
                const VECTOR here = LOAD(now);
                even += tap[1] * here + tap[3] * LOAD(now - 1);
                odd += tap[2] * here + tap[0] * LOAD(now + 1);
            }
            const int64_t many = half - p < LANES ? half - p : LANES;
            if (many == LANES)
                for (int64_t i = 0; i < LANES; i++) row[2 * (p + i)] = even[i], row[2 * (p + i) + 1] = odd[i];
            else
                for (int64_t i = 0; i < many; i++) row[2 * (p + i)] = even[i], row[2 * (p + i) + 1] = odd[i];
        }
    }
}

/* Gradients of inputs and weights; either may be null. g [M, O, half]. Sums over the batch in fixed pieces. */
int NAME(convolution_backward)(int64_t M, int64_t C, int64_t O, int64_t half, const REAL *x, const REAL *w,
                               const REAL *g, REAL *to_x, REAL *to_w, int64_t threads) {
    const int64_t stride = NAME(stride)(half), taps = O * C * 4, together = 8; /* rows that a level-1 cache holds */
    VECTOR *parts = to_w ? calloc((size_t)(PIECES * taps), sizeof(VECTOR)) : 0;
    int failed = to_w && !parts;
#pragma omp parallel num_threads(threads)
    {
        REAL *split = calloc((size_t)((2 * C + O) * stride * together), sizeof(REAL));
        REAL *gradient = split + 2 * C * stride * together;
        if (!split) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t piece = 0; piece < PIECES; piece++) {
            if (!split || (to_w && !parts)) continue;
            const int64_t end = M * (piece + 1) / PIECES;
            for (int64_t from = M * piece / PIECES; from < end; from += together) {
                const int64_t many = end - from < together ? end - from : together;
                for (int64_t row = 0; row < many * O; row++)
                    memcpy(gradient + row * stride + LANES, g + (from * O + row) * half, sizeof(REAL) * half);
                if (to_w) {
                    for (int64_t row = 0; row < many * C; row++)
                        NAME(split)(x + (from * C + row) * 2 * half, half, split + 2 * row * stride + LANES,
                                    split + (2 * row + 1) * stride + LANES);
                    NAME(add_weight_gradient)(many, C, O, half, split, gradient, parts + piece * taps);
                }
                if (to_x)
                    for (int64_t m = 0; m < many; m++)
                        NAME(spread)(C, O, half, w, gradient + m * O * stride, to_x + (from + m) * C * 2 * half);
            }
        }
        free(split);
    }
    if (to_w && !failed)
        for (int64_t i = 0; i < taps; i++) {
            double sum = 0;
            for (int64_t piece = 0; piece < PIECES; piece++)
                for (int64_t k = 0; k < LANES; k++) sum += parts[piece * taps + i][k];
            to_w[i] = (REAL)sum;
        }
    free(parts);
    return failed;
}

#undef VECTOR
#undef LOAD
#undef STEP
#undef STEP_KEEPING
#undef UNSTEP
#undef UNSTEP_ADDING
#undef UNSTEP_BY_RESET

#endif
