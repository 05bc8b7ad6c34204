/*
 * row_product_kernels: how numbers come out of their blocks, written once for all processors.
 * Private to row_product*.c.
 *
 * A file that defines ROW_TARGET, a type vec of 16 floats, and
 *
 *     vec_zero() vec_load(float *) vec_store(float *, vec) vec_set(float)
 *     vec_mul(a, b) vec_add(a, b) vec_sub(a, b)
 *     vec_bytes(p) vec_halves(p) vec_brains(p)    16 numbers: signed bytes, f16, bf16
 *     ints16, a type of 16 whole numbers: ints_load(p) of 16 unsigned bytes,
 *     ints_shift(a, n) to the right, ints_and(a, n), ints_or(a, b), ints_left(a, n),
 *     ints_bits(bits, at) bit at + i of a word in lane i, vec_of(ints16)
 *     vec_look(table, i) the low 4 bits of i choose among a table's 16
 *     half(p) an f16 as a float
 *
 * and then includes this gets row_kernels of that processor by ROW_KERNELS. The layouts of blocks
 * are those of formats/dtype_blocks.c and dtype_kblocks.c. Types of 4 bits have 16 levels in a
 * block (or group): they are worked out once, and looked up.
 */
#ifndef COMPUTE_ROW_PRODUCT_KERNELS_H
#define COMPUTE_ROW_PRODUCT_KERNELS_H

#include "compute/row_product.h"

extern const struct row_kernels row_kernels_avx512, row_kernels_avx2;

#endif

#ifdef ROW_TARGET

#include <string.h>

#include "base/simd.h"
#include "formats/dtype_blocks.h"

#define INLINE static inline __attribute__((always_inline, ROW_TARGET))

enum { LANES = SIMD_LANES };

static const float counting[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* ---- parts of blocks: `part` says which of the block's, v are its numbers in order ---- */

/* Looks up the nibbles of 16 bytes: the low ones, then the high ones. */
INLINE void look_nibbles(const uint8_t *p, vec table, vec *low, vec *high)
{
    ints16 q = ints_load(p);
    *low = vec_look(table, q);
    *high = vec_look(table, ints_shift(q, 4));
}

INLINE void part_q4_0(const uint8_t *p, size_t part, vec v[2])
{
    (void)part;
    vec levels = vec_sub(vec_load(counting), vec_set(8));
    look_nibbles(p + 2, vec_mul(levels, vec_set(half(p))), &v[0], &v[1]);
}

INLINE void part_q4_1(const uint8_t *p, size_t part, vec v[2])
{
    (void)part;
    vec table = vec_add(vec_mul(vec_load(counting), vec_set(half(p))), vec_set(half(p + 2)));
    look_nibbles(p + 4, table, &v[0], &v[1]);
}

INLINE void part_iq4_nl(const uint8_t *p, size_t part, vec v[2])
{
    (void)part;
    look_nibbles(p + 2, vec_mul(vec_bytes((const uint8_t *)iq4_nl_values), vec_set(half(p))), &v[0],
                 &v[1]);
}

/* Levels of 5 bits, 16 at a time: fifth bits, then nibbles as above. */
INLINE void fives(const uint8_t *p, vec v[2])
{
    uint32_t fifth;
    memcpy(&fifth, p, sizeof fifth);
    ints16 q = ints_load(p + 4);
    v[0] = vec_of(ints_or(ints_and(q, 15), ints_left(ints_bits(fifth, 0), 4)));
    v[1] = vec_of(ints_or(ints_shift(q, 4), ints_left(ints_bits(fifth, 16), 4)));
}

INLINE void part_q5_0(const uint8_t *p, size_t part, vec v[2])
{
    (void)part;
    fives(p + 2, v);
    for (int j = 0; j < 2; j++)
        v[j] = vec_mul(vec_sub(v[j], vec_set(16)), vec_set(half(p)));
}

INLINE void part_q5_1(const uint8_t *p, size_t part, vec v[2])
{
    (void)part;
    fives(p + 4, v);
    for (int j = 0; j < 2; j++)
        v[j] = vec_add(vec_mul(v[j], vec_set(half(p))), vec_set(half(p + 2)));
}

INLINE void part_q8_0(const uint8_t *p, size_t part, vec v[2])
{
    (void)part;
    for (int j = 0; j < 2; j++)
        v[j] = vec_mul(vec_bytes(p + 2 + LANES * j), vec_set(half(p)));
}

/* Scale and minimum of group g of 8, as 6 bits each. */
INLINE void group_scale(const uint8_t *p, size_t g, float d, float dmin, vec *scale, vec *low)
{
    int s = g < 4 ? p[g] & 63 : (p[g + 4] & 15) | p[g - 4] >> 6 << 4;
    int m = g < 4 ? p[g + 4] & 63 : p[g + 4] >> 4 | p[g] >> 6 << 4;
    *scale = vec_set(d * (float)s);
    *low = vec_set(dmin * (float)m);
}

/* 64 numbers: the low nibbles of 32 bytes are one group, the high ones the next. */
INLINE void part_q4_k(const uint8_t *p, size_t part, vec v[4])
{
    ints16 q[2] = {ints_load(p + 16 + 32 * part), ints_load(p + 32 + 32 * part)};
    float d = half(p), dmin = half(p + 2);
    for (size_t g = 0; g < 2; g++) {
        vec scale, low;
        group_scale(p + 4, 2 * part + g, d, dmin, &scale, &low);
        vec table = vec_sub(vec_mul(vec_load(counting), scale), low);
        for (int j = 0; j < 2; j++)
            v[2 * g + (size_t)j] = vec_look(table, g ? ints_shift(q[j], 4) : q[j]);
    }
}

INLINE void part_q5_k(const uint8_t *p, size_t part, vec v[4])
{
    float d = half(p), dmin = half(p + 2);
    for (size_t g = 0; g < 2; g++) {
        vec scale, low;
        group_scale(p + 4, 2 * part + g, d, dmin, &scale, &low);
        for (int j = 0; j < 2; j++) {
            ints16 q = ints_load(p + 48 + 32 * part + LANES * (size_t)j);
            ints16 fifth = ints_shift(ints_load(p + 16 + LANES * j), (int)(2 * part + g));
            q = ints_or(g ? ints_shift(q, 4) : ints_and(q, 15), ints_left(ints_and(fifth, 1), 4));
            v[2 * g + (size_t)j] = vec_sub(vec_mul(vec_of(q), scale), low);
        }
    }
}

/* Half a block, 128 numbers: 64 bytes of nibbles, low and then high, 32 bytes of upper two bits
 * for four runs of 32, and scales of 16. */
INLINE void part_q6_k(const uint8_t *p, size_t part, vec v[8])
{
    const uint8_t *nibbles = p + 64 * part, *twos = p + 128 + 32 * part, *scales = p + 192;
    float d = half(p + Q6_K_BYTES - 2);
    for (size_t i = 0; i < 8; i++) {
        ints16 q = ints_load(nibbles + LANES * (i % 4));
        ints16 upper = ints_and(ints_shift(ints_load(twos + LANES * (i % 2)), (int)(i / 2 * 2)), 3);
        q = ints_or(i < 4 ? ints_and(q, 15) : ints_shift(q, 4), ints_left(upper, 4));
        vec scale = vec_set(d * (float)(int8_t)scales[8 * part + i]);
        v[i] = vec_mul(vec_sub(vec_of(q), vec_set(32)), scale);
    }
}

INLINE void part_f32(const uint8_t *p, size_t part, vec v[1])
{
    (void)part;
    v[0] = vec_load((const float *)(const void *)p);
}

INLINE void part_f16(const uint8_t *p, size_t part, vec v[1])
{
    (void)part;
    v[0] = vec_halves(p);
}

INLINE void part_bf16(const uint8_t *p, size_t part, vec v[1])
{
    (void)part;
    v[0] = vec_brains(p);
}

/* ---- products ---- */

/* The numbers behind the last whole 16, which only types without blocks have. */
static float add_rest(enum dtype type, const uint8_t *w, const float *x, size_t done, size_t n,
                      float sum)
{
    const struct dtype_info *t = &dtypes[type];
    float rest[LANES];
    t->to_float(w + done * t->block_bytes, rest, n - done);
    for (size_t k = done; k < n; k++)
        sum += rest[k - done] * x[k];
    return sum;
}

#define ROW_PRODUCT(name, type, block, bytes, numbers)                                             \
    __attribute__((ROW_TARGET)) static float product_##name(const uint8_t *w, const float *x,      \
                                                            size_t n)                              \
    {                                                                                              \
        enum { VECS = (numbers) / LANES, PARTS = (block) / (numbers) };                            \
        const float *part_of_x = x;                                                                \
        size_t blocks = n / (block), done = blocks * (block);                                      \
        float lanes[LANES], total;                                                                 \
        vec sum = vec_zero(), v[VECS];                                                             \
        for (size_t i = 0; i < blocks; i++)                                                        \
            for (size_t part = 0; part < PARTS; part++, part_of_x += (numbers)) {                  \
                part_##name(w + i * (bytes), part, v);                                             \
                for (int j = 0; j < VECS; j++)                                                     \
                    sum = vec_add(sum, vec_mul(v[j], vec_load(part_of_x + LANES * j)));            \
            }                                                                                      \
        vec_store(lanes, sum);                                                                     \
        total = simd_sum(lanes);                                                                   \
        return done < n ? add_rest(type, w, x, done, n, total) : total;                            \
    }

#define ROW_EXPAND(name, block, bytes, numbers)                                                    \
    __attribute__((ROW_TARGET)) static void expand_##name(const uint8_t *w, float *out, size_t n)  \
    {                                                                                              \
        enum { VECS = (numbers) / LANES, PARTS = (block) / (numbers) };                            \
        vec v[VECS];                                                                               \
        for (size_t i = 0; i < n / (block); i++)                                                   \
            for (size_t part = 0; part < PARTS; part++, out += (numbers)) {                        \
                part_##name(w + i * (bytes), part, v);                                             \
                for (int j = 0; j < VECS; j++)                                                     \
                    vec_store(out + LANES * j, v[j]);                                              \
            }                                                                                      \
    }

/* Types with blocks, of which a row has a whole number. */
#define ROW_TYPE(name, type, block, bytes, numbers)                                                \
    ROW_PRODUCT(name, type, block, bytes, numbers)                                                 \
    ROW_EXPAND(name, block, bytes, numbers)

ROW_PRODUCT(f32, DTYPE_F32, LANES, 4 * LANES, LANES)
ROW_PRODUCT(f16, DTYPE_F16, LANES, 2 * LANES, LANES)
ROW_PRODUCT(bf16, DTYPE_BF16, LANES, 2 * LANES, LANES)
ROW_TYPE(q8_0, DTYPE_Q8_0, QK, Q8_0_BYTES, QK)
ROW_TYPE(q4_0, DTYPE_Q4_0, QK, Q4_0_BYTES, QK)
ROW_TYPE(q4_1, DTYPE_Q4_1, QK, Q4_1_BYTES, QK)
ROW_TYPE(q5_0, DTYPE_Q5_0, QK, Q5_0_BYTES, QK)
ROW_TYPE(q5_1, DTYPE_Q5_1, QK, Q5_1_BYTES, QK)
ROW_TYPE(iq4_nl, DTYPE_IQ4_NL, QK, IQ4_NL_BYTES, QK)
ROW_TYPE(q4_k, DTYPE_Q4_K, QK_K, Q4_K_BYTES, 64)
ROW_TYPE(q5_k, DTYPE_Q5_K, QK_K, Q5_K_BYTES, 64)
ROW_TYPE(q6_k, DTYPE_Q6_K, QK_K, Q6_K_BYTES, 128)

#define ROW_PRODUCTS                                                                               \
    {                                                                                              \
        [DTYPE_F32] = product_f32, [DTYPE_F16] = product_f16, [DTYPE_BF16] = product_bf16,         \
        [DTYPE_Q8_0] = product_q8_0, [DTYPE_Q4_0] = product_q4_0, [DTYPE_Q4_1] = product_q4_1,     \
        [DTYPE_Q5_0] = product_q5_0, [DTYPE_Q5_1] = product_q5_1, [DTYPE_Q4_K] = product_q4_k,     \
        [DTYPE_Q5_K] = product_q5_k, [DTYPE_Q6_K] = product_q6_k, [DTYPE_IQ4_NL] = product_iq4_nl, \
    }

#define ROW_EXPANDS                                                                                \
    {                                                                                              \
        [DTYPE_Q8_0] = expand_q8_0, [DTYPE_Q4_0] = expand_q4_0, [DTYPE_Q4_1] = expand_q4_1,        \
        [DTYPE_Q5_0] = expand_q5_0, [DTYPE_Q5_1] = expand_q5_1, [DTYPE_Q4_K] = expand_q4_k,        \
        [DTYPE_Q5_K] = expand_q5_k, [DTYPE_Q6_K] = expand_q6_k, [DTYPE_IQ4_NL] = expand_iq4_nl,    \
    }

#endif
