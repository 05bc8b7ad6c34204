/* The cache of large tokenizers: the same tokens with it and without, whatever is in its files. */
#include "tap.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cachedir.h"
#include "base/hash.h"
#include "base/image.h"
#include "base/mapfile.h"
#include "base/outfile.h"
#include "files.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

enum {
    LARGE = 1100000, /* bytes of a tokenizer.json, above what is kept */
    QUADS = 900,    /* tokens of four letters */
    CHECKSUM = 32,   /* digits at the front of an image */
};

static char folder[] = "/tmp/test-tokenizer-cache-XXXXXX";
static const char *cache; /* the folder of caches */

/* ---- tokenizers ---- */

static void add_token(struct buf *b, const char *token, size_t id, bool list)
{
    buf_addf(b, list ? "[\"%s\",-%zu.5]," : "\"%s\":%zu,", token, list ? id % 13 : id);
}

/* Tokens: bytes (byte-level, or by name), letters, pairs of letters, fours; and whether scored. */
static void add_vocab(struct buf *b, bool byte_level, bool list)
{
    size_t id = 0;
    char token[16];
    if (list) {
        add_token(b, "<unk>", id, list);
        id++;
    }
    for (unsigned byte = 0; byte < 256; byte++, id++) {
        int len = byte_level ? (int)utf8_put(byte_level_char((uint8_t)byte), token)
                             : snprintf(token, sizeof token, "<0x%02X>", byte);
        token[len] = 0;
        if (!strcmp(token, "\"") || !strcmp(token, "\\")) {
            token[1] = token[0];
            token[0] = '\\';
            token[2] = 0;
        }
        add_token(b, token, id, list);
    }
    for (unsigned a = 0; a < 26 && !byte_level; a++, id++) {
        snprintf(token, sizeof token, "%c", 'a' + (char)a);
        add_token(b, token, id, list);
    }
    for (unsigned ab = 0; ab < 26 * 26; ab++, id++) {
        snprintf(token, sizeof token, "%c%c", 'a' + ab / 26, 'a' + ab % 26);
        add_token(b, token, id, list);
    }
    for (unsigned i = 0; i < QUADS; i++, id++) {
        unsigned ab = i * 7 % 676, cd = i / 676 * 31 % 676;
        snprintf(token, sizeof token, "%c%c%c%c", 'a' + ab / 26, 'a' + ab % 26, 'a' + cd / 26,
                 'a' + cd % 26);
        add_token(b, token, id, list);
    }
    b->len--; /* the comma */
}

static void add_merges(struct buf *b)
{
    for (unsigned ab = 0; ab < 26 * 26; ab++)
        buf_addf(b, "\"%c %c\",", 'a' + ab / 26, 'a' + ab % 26);
    for (unsigned i = 0; i < QUADS; i++) {
        unsigned ab = i * 7 % 676, cd = i / 676 * 31 % 676;
        buf_addf(b, "\"%c%c %c%c\",", 'a' + ab / 26, 'a' + ab % 26, 'a' + cd / 26, 'a' + cd % 26);
    }
    b->len--;
}

/* Blanks make it large, where they are read over. */
static void pad(struct buf *b)
{
    while (b->len < LARGE)
        buf_addstr(b, "                                                                ");
}

static void byte_level_bpe(struct buf *b)
{
    buf_addstr(b, "{\"added_tokens\":[{\"content\":\"<end>\",\"special\":true}],"
                  "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                  "\"decoder\":{\"type\":\"ByteLevel\"},"
                  "\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{");
    add_vocab(b, true, false);
    pad(b);
    buf_addstr(b, "},\"merges\":[");
    add_merges(b);
    buf_addstr(b, "]}}\n");
}

static void sentencepiece_bpe(struct buf *b)
{
    buf_addstr(b, "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{");
    add_vocab(b, false, false);
    pad(b);
    buf_addstr(b, "},\"merges\":[");
    add_merges(b);
    buf_addstr(b, "]}}\n");
}

static void unigram(struct buf *b)
{
    buf_addstr(b,
               "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[");
    add_vocab(b, false, true);
    pad(b);
    buf_addstr(b, "]}}\n");
}

/* ---- what a tokenizer gives ---- */

static const char text[] = "the quick brown foxes abcdabcd zzzz jumped over 3 lazy dogs; "
                           "gr\xc3\xbc\xc3\x9f \xe4\xb8\xad\xe6\x96\x87 aaaaaaaaaaaaaaaaaa<end>qqqq"
                           "thethethethethethethethethethethethethethethethethethethethethethethe";

static void add_ids(struct buf *b, const struct tokenizer *t)
{
    struct tokenizer_scratch *s = tokenizer_scratch_new(t);
    struct token_list l = {0};
    struct err err;
    for (int round = 0; round < 2; round++)
        if (tokenizer_encode(t, s, text, sizeof text - 1, TOKENIZER_ALLOW_SPECIAL, &l, &err))
            buf_addstr(b, err.msg);
    for (size_t i = 0; i < l.n; i++)
        buf_addf(b, "%u@%u ", l.ids[i], l.offsets[i]);
    if (tokenizer_decode(t, l.ids, l.n, false, b, &err))
        buf_addstr(b, err.msg);
    token_list_release(&l);
    tokenizer_scratch_free(s);
}

/* All that can be asked of the tokenizer in `folder`: ids, texts, the vocabulary; and whether it
 * came out of the cache. */
static bool describe(struct buf *b)
{
    struct tokenizer *t;
    struct err err;
    char hex[HASH_HEX];
    buf_clear(b);
    if (tokenizer_load(&t, folder, &err)) {
        buf_addstr(b, err.msg);
        return false;
    }
    bool cached = t->image;
    add_ids(b, t);
    tokenizer_hash(t, hex);
    buf_addf(b, "%s %zu", hex, tokenizer_vocab_size(t));
    for (uint32_t id = 0; id < tokenizer_vocab_size(t); id++) {
        size_t len = 0;
        const char *p = tokenizer_token(t, id, &len);
        buf_addf(b, "%s %lld\n", p ? p : "-", p ? (long long)tokenizer_id(t, p, len) : -1);
    }
    tokenizer_free(t);
    return cached;
}

/* ---- files of the cache ---- */

/* The path of the only file there, "" for none, "many" for several. */
static const char *only_file(void)
{
    static char path[512];
    DIR *dir = opendir(cache);
    struct dirent *e;
    size_t n = 0;
    *path = 0;
    while (dir && (e = readdir(dir)))
        if (*e->d_name != '.' && n++ < 2)
            snprintf(path, sizeof path, "%s/%s", cache, e->d_name);
    if (dir)
        closedir(dir);
    return n > 1 ? "many" : path;
}

static void forget(void)
{
    unlink(only_file());
}

static void put_file(const char *path, const void *p, size_t len)
{
    FILE *f = fopen(path, "w");
    fwrite(p, 1, len, f);
    fclose(f);
}

/* ---- tests ---- */

static void check_warm(const char *name, const struct buf *want, struct buf *got)
{
    struct stat st;
    setenv("TUNEUTILS_CACHE", cache, 1);
    bool cached = describe(got);
    tap_ok(!cached && !strcmp(got->p, want->p), "%s: cold, it reads the file", name);
    tap_ok(!stat(only_file(), &st) && (st.st_mode & 07777) == 0600,
           "%s: and keeps what it made, for its user only", name);
    cached = describe(got);
    tap_ok(cached && !strcmp(got->p, want->p), "%s: warm, the same from the cache", name);
}

/* Each damage must be seen, and be mended by the way. */
static void check_damage(const char *name, const struct buf *want, struct buf *got)
{
    size_t len, seen = 0, same = 0, mended = 0, n = 0;
    struct err err;
    char *whole = file_read(only_file(), SIZE_MAX, &len, &err), *path = strdup(only_file());
    char *damaged = malloc(len);
    for (size_t i = 0; i < 25; i++, n++) {
        /* cut off here, or with a byte altered: near the front and all over */
        size_t at = i < 10 ? i * 43 : (size_t)(hash64(&i, sizeof i, 1) % len);
        memcpy(damaged, whole, len);
        damaged[at] ^= (char)(1 << i % 8);
        put_file(path, damaged, i % 3 ? len : at);
        seen += !describe(got);
        same += !strcmp(got->p, want->p);
        mended += describe(got);
    }
    tap_ok(seen == n, "%s: of %zu damaged files %zu are seen", name, n, seen);
    tap_ok(same == n, "%s: the tokens are the same in spite of %zu", name, same);
    tap_ok(mended == n, "%s: and %zu are replaced", name, mended);
    free(damaged);
    free(whole);
    free(path);
}

/* With a checksum that is right, whatever the arrays hold: an answer, within the bounds. */
static void check_forged(const char *name)
{
    size_t len, used = 0, n = 0;
    struct err err;
    char *whole = file_read(only_file(), SIZE_MAX, &len, &err), *path = strdup(only_file());
    char *forged = malloc(len), hex[HASH_HEX];
    setenv("TUNEUTILS_CACHE", cache, 1);
    for (size_t i = 0; i < 120; i++, n++) {
        struct tokenizer *t;
        struct buf ids = BUF_INIT;
        memcpy(forged, whole, len);
        for (size_t k = 0; k <= i % 4; k++) {
            uint64_t random = hash64(&i, sizeof i, k);
            size_t at = CHECKSUM + (size_t)(random % (i % 3 ? len - CHECKSUM : 2048));
            forged[at] = (char)(i % 2 ? 0xff : random >> 32);
        }
        hash_bytes_hex(forged + CHECKSUM, len - CHECKSUM, hex);
        memcpy(forged, hex, CHECKSUM);
        put_file(path, forged, len);
        if (!tokenizer_load(&t, folder, &err)) {
            used += t->image != NULL;
            add_ids(&ids, t);
            tokenizer_free(t);
        }
        buf_release(&ids);
    }
    tap_ok(used > 0 && used < n, "%s: %zu of %zu forged files are usable, and none does harm", name,
           used, n);
    put_file(path, whole, len);
    free(forged);
    free(whole);
    free(path);
}

static void check_whose(const char *name, const struct buf *want, struct buf *got)
{
    chmod(only_file(), 0620);
    tap_ok(!describe(got) && !strcmp(got->p, want->p),
           "%s: a file that others may write is not used", name);
    tap_ok(describe(got), "%s: but replaced", name);
    if (geteuid())
        return;
    if (!chown(only_file(), 1, 1))
        tap_ok(!describe(got) && !strcmp(got->p, want->p), "%s: nor is one of somebody else", name);
    forget();
}

static void check_nowhere(const char *name, const struct buf *want, struct buf *got)
{
    char below[600];
    snprintf(below, sizeof below, "%s/tokenizer.json/cache", folder);
    setenv("TUNEUTILS_CACHE", below, 1);
    tap_ok(!describe(got) && !strcmp(got->p, want->p), "%s: no folder can be made: nothing is said",
           name);
    forget();
    setenv("TUNEUTILS_CACHE", cache, 1);
    chmod(cache, 0500);
    bool cached = describe(got);
    tap_ok(!cached && !strcmp(got->p, want->p), "%s: nor where nothing can be written", name);
    chmod(cache, 0700);
    forget();
}

static void check_crowd(const char *name, const struct buf *want, struct buf *got)
{
    enum { PROCESSES = 6, STARTS = 3 };
    int status, failed = 0;
    forget();
    for (size_t i = 0; i < PROCESSES; i++) {
        if (fork())
            continue;
        int rc = 0;
        for (size_t k = 0; k < STARTS; k++) {
            describe(got);
            rc |= strcmp(got->p, want->p) != 0;
            if (k + 1 < STARTS && i % 2)
                forget();
        }
        _exit(rc);
    }
    while (wait(&status) > 0)
        failed += !WIFEXITED(status) || WEXITSTATUS(status);
    describe(got);
    tap_ok(!failed && strcmp(only_file(), "many") && describe(got) && !strcmp(got->p, want->p),
           "%s: several processes at once, and nothing else is left", name);
}

static void check_tokenizer(const char *name, void (*make)(struct buf *))
{
    struct buf file = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
    make(&file);
    put_file(scratch_in(folder, "tokenizer.json"), file.p, file.len);
    setenv("TUNEUTILS_CACHE", "", 1);
    describe(&want);
    describe(&got);
    tap_ok(want.len > 10000 && !strcmp(got.p, want.p) && !*only_file(), "%s: without a cache",
           name);
    check_warm(name, &want, &got);
    check_damage(name, &want, &got);
    check_forged(name);
    check_whose(name, &want, &got);
    check_nowhere(name, &want, &got);
    check_crowd(name, &want, &got);
    forget();
    buf_release(&file);
    buf_release(&want);
    buf_release(&got);
}

/* Another key is that of another program, layout or file. */
static void check_image(void)
{
    static const uint32_t numbers[] = {1, 2, 3};
    struct image_writer w = {.n = 0};
    struct err err;
    size_t n = 0;
    const char *path = scratch_in(folder, "image");
    image_put(&w, "numbers", numbers, 3, sizeof *numbers);
    image_put(&w, "nothing", numbers, 0, sizeof *numbers);
    tap_ok(!image_write(&w, path, "a key", &err), "an image is written");
    tap_ok(!image_open(path, "another key"), "and not read with another key");
    struct image *i = image_open(path, "a key");
    const uint32_t *p = i ? image_array(i, "numbers", sizeof *p, &n) : NULL;
    tap_ok(p && n == 3 && !memcmp(p, numbers, sizeof numbers), "but with its own");
    tap_ok(i && image_array(i, "nothing", 4, &n) && !n, "an array may be empty");
    tap_ok(i && !image_array(i, "numbers", 8, &n) && !image_array(i, "none", 1, &n),
           "one that isn't there, or of items of another size, isn't given");
    image_close(i);
    tap_ok(!image_open(folder, "a key") && !image_open("/dev/null", "a key"),
           "what is no file is no image");
    unlink(path);
}

static const char *folder_with(const char *own, const char *caches, const char *home)
{
    static struct buf b = BUF_INIT;
    const char *const names[] = {"TUNEUTILS_CACHE", "XDG_CACHE_HOME", "HOME"};
    const char *const values[] = {own, caches, home};
    for (size_t i = 0; i < 3; i++)
        if (values[i])
            setenv(names[i], values[i], 1);
        else
            unsetenv(names[i]);
    buf_release(&b);
    return cachedir_path(&b) ? b.p : "none";
}

static void check_folders(void)
{
    tap_is_str("the folder asked for", folder_with("/a", "/b", "/c"), "/a");
    tap_is_str("none is asked for", folder_with("", "/b", "/c"), "none");
    tap_is_str("XDG_CACHE_HOME", folder_with(NULL, "/b", "/c"), "/b/tuneutils");
    tap_is_str("which must be absolute", folder_with(NULL, "b", "/c"), "/c/.cache/tuneutils");
    tap_is_str("HOME", folder_with(NULL, NULL, "/c"), "/c/.cache/tuneutils");
    tap_is_str("no home", folder_with(NULL, NULL, NULL), "none");
}

int main(void)
{
    char path[512];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/deep/cache", folder);
    cache = path;
    check_folders();
    check_image();
    check_tokenizer("byte-level BPE", byte_level_bpe);
    check_tokenizer("SentencePiece's BPE", sentencepiece_bpe);
    check_tokenizer("Unigram", unigram);
    rmdir(cache);
    rmdir(scratch_in(folder, "deep"));
    unlink(scratch_in(folder, "tokenizer.json"));
    return rmdir(folder) ? 1 : tap_done();
}
