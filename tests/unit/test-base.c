/* base: numbers, buffers, errors, the checked cursor, random numbers, the pool, atomic outputs. */
#include "tap.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "base/pool.h"
#include "base/rng.h"

static void test_buf(void)
{
    struct buf b = BUF_INIT;
    buf_addu(&b, 0);
    buf_addch(&b, ' ');
    buf_addu(&b, UINT64_MAX);
    buf_addf(&b, " %s", "x");
    tap_is_str("buf: numbers and text", b.p, "0 18446744073709551615 x");
    buf_clear(&b);
    buf_addutf8(&b, 0x41);
    buf_addutf8(&b, 0xe9);
    buf_addutf8(&b, 0x20ac);
    buf_addutf8(&b, 0x1f600);
    buf_addutf8(&b, 0xd800);
    tap_is_str("buf: UTF-8, a surrogate becomes U+FFFD", b.p, "Aé€😀\xef\xbf\xbd");
    buf_release(&b);
}

static void test_err(void)
{
    struct err err;
    tap_ok(err_set(&err, "shape [%d]", 3) == -1, "err_set returns -1");
    err_prefix(&err, "tensor %s", "a\nb");
    tap_is_str("err: context goes in front, control characters don't break the line", err.msg,
               "tensor a?b: shape [3]");
}

static void test_cursor(void)
{
    const uint8_t bytes[] = {1, 2, 3, 4, 5};
    struct cursor c;
    cursor_init(&c, bytes, sizeof bytes);
    tap_is_u64("cursor: u32 is little-endian", cursor_u32(&c), 0x04030201);
    tap_is_u64("cursor: past the end reads 0", cursor_u16(&c), 0);
    tap_ok(c.failed, "cursor: and fails");
    tap_is_u64("cursor: and stays failed", cursor_u8(&c), 0);
    cursor_init(&c, bytes, sizeof bytes);
    tap_ok(!cursor_bytes(&c, UINT64_MAX), "cursor: an absurd length is refused");
}

static void test_rng(void)
{
    /* Known answers of Random123 1.14, kat_vectors, philox4x32 10. */
    uint32_t x[4];
    rng_block(0, 0, 0, x);
    tap_ok(x[0] == 0x6627e8d5 && x[1] == 0xe169c58d && x[2] == 0xbc57ac4c && x[3] == 0x9b00dbd8,
           "rng: Philox4x32-10 of zeros");
    rng_block(UINT64_MAX, UINT64_MAX, UINT64_MAX, x);
    tap_ok(x[0] == 0x408f276d && x[1] == 0x41c83b0e && x[2] == 0xa20bc7c6 && x[3] == 0x6d5451fd,
           "rng: Philox4x32-10 of ones");
    struct rng r;
    rng_init(&r, 7, 1);
    double sum = 0, squares = 0;
    for (int i = 0; i < 100000; i++) {
        double v = rng_normal(&r);
        sum += v;
        squares += v * v;
    }
    tap_ok(fabs(sum / 1e5) < 0.02 && fabs(squares / 1e5 - 1) < 0.02, "rng: normal deviates");
}

static void add_square(void *arg, size_t i, size_t thread)
{
    (void)thread;
    ((uint64_t *)arg)[i] += i * i;
}

static void test_pool(void)
{
    enum { N = 1000, ROUNDS = 200 };
    static uint64_t out[N];
    struct err err;
    struct pool *pool = pool_new(3, &err);
    for (int round = 0; round < ROUNDS; round++)
        pool_run(pool, N, add_square, out);
    bool right = true;
    for (size_t i = 0; i < N; i++)
        right = right && out[i] == ROUNDS * i * i;
    tap_ok(right, "pool: every task runs once in every round");
    pool_free(pool);
}

static void test_outfile(void)
{
    struct err err;
    struct outfile o;
    char dir[] = "/tmp/test-base.XXXXXX", path[64];
    if (!mkdtemp(dir))
        return;
    snprintf(path, sizeof path, "%s/out", dir);
    tap_ok(outfile_open(&o, path, &err) == 0 && outfile_write(&o, "x", 1, &err) == 0,
           "outfile: open");
    tap_ok(access(path, F_OK) != 0, "outfile: nothing under the final name before commit");
    outfile_abandon(&o);
    tap_ok(rmdir(dir) == 0 && mkdir(dir, 0700) == 0, "outfile: abandon leaves nothing");
    tap_ok(file_write(path, "abc", 3, &err) == 0, "outfile: commit");
    size_t len;
    char *text = file_read(path, 10, &len, &err);
    tap_ok(text && len == 3 && !strcmp(text, "abc"), "outfile: what was written is there");
    free(text);
    tap_ok(!file_read(path, 2, &len, &err), "file_read: a limit is kept");
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    test_buf();
    test_err();
    test_cursor();
    test_rng();
    test_pool();
    test_outfile();
    return tap_done();
}
