#include "text/spm_merges.h"

#include <stdlib.h>

#include "base/mem.h"
#include "text/unicode.h"

/* No token of published models comes near; a merge for every cut would be quadratic in it. */
enum { LONGEST_TOKEN = 1024 };

struct candidate {
    float score;
    uint32_t left_chars, right_chars;
    uint32_t id, left, right;
};

struct candidates {
    struct candidate *v;
    size_t n, cap;
};

static int in_order(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left_chars != y->left_chars)
        return x->left_chars > y->left_chars ? -1 : 1;
    if (x->right_chars != y->right_chars)
        return x->right_chars > y->right_chars ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->left > y->left) - (x->left < y->left);
}

static void add_cuts(const struct vocab *v, uint32_t id, float score, struct candidates *out)
{
    size_t len, cut = 0;
    const char *p = vocab_string(v, id, &len);
    uint32_t chars = 0, before = 0;
    if (!len || len > LONGEST_TOKEN)
        return;
    for (size_t i = 0; i < len; i += utf8_length((unsigned char)p[i]))
        chars++;
    while ((cut += utf8_length((unsigned char)p[cut])) < len) {
        before++;
        int64_t left = vocab_find(v, p, cut), right = vocab_find(v, p + cut, len - cut);
        if (left < 0 || right < 0)
            continue;
        ARRAY_GROW(out->v, out->n, out->cap);
        out->v[out->n++] =
            (struct candidate){score, before, chars - before, id, (uint32_t)left, (uint32_t)right};
    }
}

int spm_merges(const struct vocab *v, const float *scores, const bool *normal,
               uint32_t (**merges)[2], size_t *n, struct err *err)
{
    struct candidates all = {NULL, 0, 0};
    for (uint32_t id = 0; id < v->n; id++)
        if (normal[id] && vocab_string(v, id, NULL))
            add_cuts(v, id, scores[id], &all);
    if (all.n)
        qsort(all.v, all.n, sizeof *all.v, in_order);
    *n = all.n;
    *merges = mem_array(all.n + 1, sizeof **merges, "merges", err);
    for (size_t i = 0; *merges && i < all.n; i++) {
        (*merges)[i][0] = all.v[i].left;
        (*merges)[i][1] = all.v[i].right;
    }
    free(all.v);
    return *merges ? 0 : -1;
}
