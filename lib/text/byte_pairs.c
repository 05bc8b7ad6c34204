#include "text/byte_pairs.h"

#include "base/mem.h"
#include "text/merge.h"

static const struct byte_pair none = {NO_MERGE, 0, NO_MERGE, NO_MERGE};

struct byte_pair *byte_pairs_new(void)
{
    struct byte_pair *pairs = xmalloc(BYTE_PAIRS * sizeof *pairs);
    for (size_t i = 0; i < BYTE_PAIRS; i++)
        pairs[i] = none;
    return pairs;
}

static inline size_t pair_at(int first, int second)
{
    return (size_t)first << 8 | (size_t)second;
}

/*
 * A merge of two bytes that is made early must not let a later one be made early too: so what uses
 * its result must have a higher rank, as it has in every vocabulary that was learnt. Ranks only
 * rise, so what was found for the merges before holds whatever is added; a pair that is added again
 * keeps the lower limits.
 */
void byte_pairs_add(struct byte_pair *pairs, struct byte_ends left, struct byte_ends right,
                    uint32_t rank, uint32_t id, bool used)
{
    if (left.first < 0 || left.last < 0 || right.first < 0 || right.last < 0)
        return;
    if (right.alone) {
        struct byte_pair *p = &pairs[pair_at(left.last, right.first)];
        p->left = rank_min(p->left, rank);
    }
    if (left.alone) {
        struct byte_pair *p = &pairs[pair_at(left.first, right.first)];
        p->right = rank_min(p->right, rank);
    }
    if (left.alone && right.alone) {
        struct byte_pair *p = &pairs[pair_at(left.first, right.first)];
        p->rank = used ? NO_MERGE : rank;
        p->id = id;
    }
}

/*
 * Of two pairs that share a byte at most one is joined, as each is a limit of the other. Which are
 * can't be guessed, so there is no branch for it: the second byte of a joined pair is written too,
 * and then written over.
 */
size_t byte_pairs_join(const struct byte_pair *pairs, const uint32_t byte_ids[256],
                       const unsigned char *word, size_t n, uint32_t *ids, uint32_t *spans)
{
    const struct byte_pair *before = &none, *here = n > 1 ? &pairs[word[0] << 8 | word[1]] : &none;
    bool joined = false;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct byte_pair *behind = i + 2 < n ? &pairs[word[i + 1] << 8 | word[i + 2]] : &none;
        uint32_t one = byte_ids[word[i]], two = here->id;
        bool join = (here->rank < before->left) & (here->rank < behind->right);
        ids[count] = join ? two : one;
        spans[count] = 1 + (uint32_t)join;
        count += !joined;
        joined = join;
        before = here;
        here = behind;
    }
    return count;
}

void byte_pairs_put(const struct byte_pair *pairs, struct image_writer *w)
{
    image_put(w, "bpe.byte_pairs", pairs, BYTE_PAIRS, sizeof *pairs);
}

struct byte_pair *byte_pairs_restore(const struct image *image, size_t n_ids)
{
    size_t n = 0, outside = 0;
    const struct byte_pair *pairs = image_array(image, "bpe.byte_pairs", sizeof *pairs, &n);
    if (!pairs || n != BYTE_PAIRS)
        return NULL;
    for (size_t i = 0; i < n; i++)
        outside += pairs[i].rank != NO_MERGE && pairs[i].id >= n_ids;
    return outside ? NULL : (struct byte_pair *)(uintptr_t)pairs; /* never written through */
}
