/* Merges against the plainest way there is, and the bytes that are joined before any other merge.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/byte_pairs.h"
#include "text/merge.h"

/* The definition: look at all pairs, merge the leftmost of the lowest rank, and again. */
static size_t merge_plainly(const struct merge_table *t, uint32_t *ids, size_t n)
{
    for (;;) {
        size_t best = 0;
        uint32_t lowest = NO_MERGE;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = merge_rank(t, ids[i], ids[i + 1]);
            if (rank < lowest) {
                lowest = rank;
                best = i;
            }
        }
        if (lowest == NO_MERGE)
            return n;
        ids[best] = t->ids[lowest];
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        n--;
    }
}

/* Merges of a made-up vocabulary: of any two symbols there were before. */
static void random_merges(struct rng *rng, struct merge_table *t, size_t letters, size_t n)
{
    struct err err;
    merge_table_init(t, n, &err);
    for (size_t i = 0; i < n; i++) {
        uint32_t left = (uint32_t)rng_below(rng, letters + i);
        uint32_t right = (uint32_t)rng_below(rng, letters + i);
        merge_table_add(t, left, right, (uint32_t)(letters + i));
    }
}

static void check_merges(void)
{
    enum { ROUNDS = 3000, MOST = 300 };
    struct rng rng;
    struct merge_scratch scratch = {0};
    struct symbols y = {0};
    uint32_t want[MOST];
    int wrong = 0;
    rng_init(&rng, 6, 0);
    symbols_reserve(&y, MOST);
    for (int i = 0; i < ROUNDS; i++) {
        struct merge_table t;
        size_t letters = 1 + rng_below(&rng, 4), n = 1 + rng_below(&rng, i % 2 ? 40 : MOST - 1);
        random_merges(&rng, &t, letters, 1 + rng_below(&rng, 60));
        y.n = n;
        for (size_t j = 0; j < n; j++) {
            y.ids[j] = want[j] = (uint32_t)rng_below(&rng, letters);
            y.spans[j] = 1;
        }
        symbols_rank(&t, &y);
        symbols_merge(&t, &scratch, &y);
        size_t left = merge_plainly(&t, want, n), sum = 0;
        for (size_t j = 0; j < y.n; j++)
            sum += y.spans[j];
        wrong += left != y.n || memcmp(want, y.ids, left * sizeof *want) || sum != n;
        merge_table_release(&t);
    }
    tap_is_u64("merges that differ from the plain way", (uint64_t)wrong, 0);
    symbols_release(&y);
    merge_scratch_release(&scratch);
}

/*
 * Symbols that are strings of a few letters, some made in two ways, some before their parts: what
 * files may hold that no training would write.
 */
enum { LETTERS = 3, STRINGS = 40, LONGEST = 4 };

struct strings {
    char s[STRINGS][LONGEST + 1];
    size_t n;
};

static uint32_t string_id(struct strings *v, const char *s)
{
    size_t i = 0;
    while (i < v->n && strcmp(v->s[i], s))
        i++;
    if (i == v->n)
        strcpy(v->s[v->n++], s);
    return (uint32_t)i;
}

static struct byte_ends ends_of(const char *s)
{
    return (struct byte_ends){(unsigned char)s[0], (unsigned char)s[strlen(s) - 1], !s[1]};
}

/* A random string that isn't a letter, cut in two at random, is a merge; `in_order` tells whether
 * only of strings that are there. */
static void random_byte_merges(struct rng *rng, struct merge_table *t, struct byte_pair *pairs,
                               struct strings *v, size_t n, bool in_order)
{
    bool made[STRINGS] = {true, true, true}, used[STRINGS] = {false};
    for (size_t i = 0; i < n && v->n + 3 <= STRINGS; i++) {
        char whole[LONGEST + 1] = "", left[LONGEST + 1];
        size_t len = 2 + rng_below(rng, LONGEST - 1), cut = 1 + rng_below(rng, len - 1);
        for (size_t j = 0; j < len; j++)
            whole[j] = (char)('a' + rng_below(rng, LETTERS));
        whole[len] = 0;
        snprintf(left, sizeof left, "%.*s", (int)cut, whole);
        uint32_t a = string_id(v, left), b = string_id(v, whole + cut), id = string_id(v, whole);
        if (in_order && (!made[a] || !made[b]))
            continue;
        uint32_t rank = (uint32_t)t->n;
        merge_table_add(t, a, b, id);
        byte_pairs_add(pairs, ends_of(left), ends_of(whole + cut), rank, id, used[id]);
        made[id] = used[a] = used[b] = true;
    }
}

static void check_byte_pairs(bool in_order)
{
    enum { ROUNDS = 300, WORDS = 20, MOST = 60 };
    struct rng rng;
    struct merge_scratch scratch = {0};
    struct symbols y = {0};
    uint32_t byte_ids[256] = {0}, want[MOST];
    size_t joined = 0;
    int wrong = 0;
    for (uint32_t i = 0; i < LETTERS; i++)
        byte_ids['a' + i] = i;
    rng_init(&rng, 7, in_order);
    symbols_reserve(&y, MOST);
    for (int i = 0; i < ROUNDS * WORDS; i++) {
        struct merge_table t;
        struct err err;
        struct byte_pair *pairs = byte_pairs_new();
        struct strings v = {{"a", "b", "c"}, LETTERS};
        merge_table_init(&t, MOST, &err);
        random_byte_merges(&rng, &t, pairs, &v, 1 + rng_below(&rng, MOST), in_order);
        for (int k = 0; k < WORDS; k++, i++) {
            unsigned char word[MOST];
            size_t n = 1 + rng_below(&rng, k % 2 ? 8 : MOST), sum = 0;
            for (size_t j = 0; j < n; j++) {
                word[j] = (unsigned char)('a' + rng_below(&rng, LETTERS));
                want[j] = byte_ids[word[j]];
            }
            y.n = byte_pairs_join(pairs, byte_ids, word, n, y.ids, y.spans);
            joined += n - y.n;
            symbols_rank(&t, &y);
            symbols_merge(&t, &scratch, &y);
            size_t left = merge_plainly(&t, want, n);
            for (size_t j = 0; j < y.n; j++)
                sum += y.spans[j];
            wrong += left != y.n || memcmp(want, y.ids, left * sizeof *want) || sum != n;
        }
        merge_table_release(&t);
        free(pairs);
    }
    tap_ok(!wrong, "joined bytes change no merge (%s), %d do",
           in_order ? "as they are learnt" : "in any order", wrong);
    tap_ok(joined > 0, "and some are joined: %zu", joined);
    symbols_release(&y);
    merge_scratch_release(&scratch);
}

int main(void)
{
    check_merges();
    check_byte_pairs(true);
    check_byte_pairs(false);
    return tap_done();
}
