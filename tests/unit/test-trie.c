/* The trie of a vocabulary: what it finds, and keys that a file gives twice. */
#include "tap.h"

#include "base/mem.h"
#include "text/trie.h"

/* The key as long as it is and no longer, so that a sanitizer sees a step too far. */
static struct trie_key key(const char *s, uint32_t value)
{
    char *p = xmalloc(strlen(s));
    memcpy(p, s, strlen(s));
    return (struct trie_key){p, strlen(s), value};
}

static uint32_t find(const struct trie *t, const char *s)
{
    uint32_t node = TRIE_ROOT;
    for (; *s; s++)
        if (!(node = trie_step(t, node, (unsigned char)*s)))
            return TRIE_NONE;
    return t->nodes[node].value;
}

int main(void)
{
    struct trie_key keys[] = {key("a", 1),   key("abc", 2), key("b", 3),  key("a", 9),
                              key("abc", 7), key("a", 5),   key("bcd", 4)};
    size_t n = ARRAY_SIZE(keys);
    struct trie t;
    struct err err;
    tap_ok(trie_build(&t, keys, n, &err) == 0, "build");
    tap_is_u64("a key given once", find(&t, "b"), 3);
    tap_is_u64("a longer one", find(&t, "bcd"), 4);
    tap_is_u64("given three times: the highest value", find(&t, "a"), 9);
    tap_is_u64("given twice", find(&t, "abc"), 7);
    tap_ok(find(&t, "ab") == TRIE_NONE, "a beginning is no key");
    trie_release(&t);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)keys[i].p);
    return tap_done();
}
