/* archive: inputs plain and compressed, cut and damaged; outputs whole or not at all, the same
 * bytes. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/archive.h"

static char dir[] = "/tmp/test-archive.XXXXXX";
static const char *const suffixes[] = {"", ".gz", ".bz2", ".xz", ".zst", ".lz4"};

static char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", dir, name);
    return path;
}

static void must(int status, const struct err *err)
{
    if (status)
        printf("Bail out! %s\n", err->msg);
    if (status)
        exit(1);
}

/* Lines of many lengths, so that some cross every block. */
static void make_text(struct buf *text)
{
    for (unsigned i = 0; i < 20000; i++) {
        buf_addu(text, i * 2654435761u);
        for (unsigned j = 0; j < i % 97; j++)
            buf_addch(text, (char)('a' + (i * j) % 26));
        buf_addch(text, '\n');
    }
}

static void write_with(const char *path, const struct buf *text)
{
    struct err err;
    struct output *out;
    must(output_open(&out, path, &err), &err);
    for (size_t at = 0; at < text->len; at += 7777) {
        size_t n = text->len - at < 7777 ? text->len - at : 7777;
        must(output_write(out, text->p + at, n, &err), &err);
    }
    must(output_commit(out, &err), &err);
}

/* Everything that input gives, -1 on failure; by lines if lines is not NULL. */
static int read_all(struct input *in, struct buf *all, size_t *lines, struct err *err)
{
    struct buf line = BUF_INIT;
    char part[1000];
    ssize_t n;
    if (lines) {
        while ((n = input_line(in, &line, 1 << 20, err)) > 0) {
            buf_add(all, line.p, line.len);
            buf_addch(all, '\n');
        }
        *lines = input_line_number(in);
        buf_release(&line);
    } else {
        while ((n = input_read(in, part, sizeof part, err)) > 0)
            buf_add(all, part, (size_t)n);
    }
    return (int)n;
}

static int read_path(const char *path, struct buf *all, size_t *lines, struct err *err)
{
    struct input *in;
    if (input_open(&in, path, err))
        return -1;
    int status = read_all(in, all, lines, err);
    input_close(in);
    return status;
}

static void test_round_trips(const struct buf *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char name[32];
        snprintf(name, sizeof name, "text%s", suffixes[i]);
        char *path = path_of(name);
        write_with(path, text);
        struct err err = {.msg = "none"};
        struct buf all = BUF_INIT;
        size_t lines;
        int status = read_path(path, &all, NULL, &err);
        tap_ok(status == 0 && all.len == text->len && !memcmp(all.p, text->p, all.len),
               "%s: written and read back", name);
        buf_clear(&all);
        status = read_path(path, &all, &lines, &err);
        tap_ok(status == 0 && all.len == text->len && !memcmp(all.p, text->p, all.len) &&
                   lines == 20000,
               "%s: and by lines", name);
        struct stat st;
        tap_ok(!stat(path, &st) && (i == 0) == ((size_t)st.st_size == text->len),
               "%s: compressed by suffix", name);
        buf_release(&all);
    }
}

static void test_empty(void)
{
    struct buf nothing = BUF_INIT, all = BUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char name[32];
        snprintf(name, sizeof name, "empty%s", suffixes[i]);
        write_with(path_of(name), &nothing);
        struct err err = {.msg = "none"};
        int status = read_path(path_of(name), &all, NULL, &err);
        tap_ok(status == 0 && all.len == 0, "%s: nothing in, nothing out (%s)", name, err.msg);
    }
    buf_release(&all);
}

static void test_deterministic(const struct buf *text)
{
    write_with(path_of("one.gz"), text);
    sleep(1);
    write_with(path_of("two.gz"), text);
    size_t n1, n2;
    struct err err;
    char *one = file_read(path_of("one.gz"), 1 << 24, &n1, &err);
    char *two = file_read(path_of("two.gz"), 1 << 24, &n2, &err);
    tap_ok(n1 == n2 && !memcmp(one, two, n1), "gzip: a second later the same bytes");
    free(one);
    free(two);
}

/* Cut at many places (libarchive looks at 14 bytes to tell bzip2 from text): never a clean end.
 * Doubled: both members. Garbage behind: an error. */
static void test_damage(const struct buf *text)
{
    struct buf small = BUF_INIT, all = BUF_INIT;
    struct err err;
    buf_add(&small, text->p, 3000);
    for (size_t i = 1; i < ARRAY_SIZE(suffixes); i++) {
        char name[32], cut_at[32] = "";
        snprintf(name, sizeof name, "small%s", suffixes[i]);
        write_with(path_of(name), &small);
        size_t len;
        char *bytes = file_read(path_of(name), 1 << 20, &len, &err);
        size_t clean = 0;
        for (size_t cut = 14; cut < len; cut++) {
            struct input *in;
            buf_clear(&all);
            input_open_memory(&in, name, bytes, cut, &err);
            if (read_all(in, &all, NULL, &err) == 0 && ++clean == 1)
                snprintf(cut_at, sizeof cut_at, "%zu of %zu", cut, len);
            input_close(in);
        }
        tap_ok(clean == 0, "%s: cut anywhere it is an error %s", suffixes[i], cut_at);

        char *twice = xmalloc(2 * len);
        memcpy(twice, bytes, len);
        memcpy(twice + len, bytes, len);
        clean = 0;
        for (size_t cut = len + 1; cut < 2 * len; cut++) {
            struct input *in;
            buf_clear(&all);
            input_open_memory(&in, name, twice, cut, &err);
            if (read_all(in, &all, NULL, &err) == 0 && ++clean == 1)
                snprintf(cut_at, sizeof cut_at, "%zu of %zu", cut - len, len);
            input_close(in);
        }
        tap_ok(clean == 0, "%s: a second member cut anywhere is an error %s", suffixes[i], cut_at);
        struct input *in;
        buf_clear(&all);
        input_open_memory(&in, name, twice, 2 * len, &err);
        tap_ok(read_all(in, &all, NULL, &err) == 0 && all.len == 6000,
               "%s: two members are both read", suffixes[i]);
        input_close(in);
        memset(twice + len, 'x', len);
        input_open_memory(&in, name, twice, 2 * len, &err);
        tap_ok(read_all(in, &all, NULL, &err) == -1, "%s: other bytes behind it are an error",
               suffixes[i]);
        input_close(in);
        free(twice);
        free(bytes);
    }
    buf_release(&small);
    buf_release(&all);
}

static void test_lines(void)
{
    struct err err = {.msg = ""};
    struct input *in;
    struct buf line = BUF_INIT;
    static const char text[] = "one\n\ntwo\0half\r\nlast";
    input_open_memory(&in, "mem", text, sizeof text - 1, &err);
    tap_ok(input_line(in, &line, 10, &err) == 1 && !strcmp(line.p, "one"), "line: the first");
    tap_ok(input_line(in, &line, 10, &err) == 1 && line.len == 0, "line: an empty one");
    tap_ok(input_line(in, &line, 10, &err) == 1 && line.len == 9 &&
               !memcmp(line.p, "two\0half\r", 9),
           "line: a NUL and a carriage return stay");
    tap_ok(input_line(in, &line, 10, &err) == 1 && !strcmp(line.p, "last") &&
               input_line_number(in) == 4,
           "line: the last needs no newline");
    tap_ok(input_line(in, &line, 10, &err) == 0 && input_line_number(in) == 4, "line: the end");
    tap_ok(input_line(in, &line, 10, &err) == 0, "line: the end again");
    input_close(in);
    input_open_memory(&in, "mem", "12345\n123456\n", 13, &err);
    tap_ok(input_line(in, &line, 5, &err) == 1, "line: as long as allowed");
    tap_ok(input_line(in, &line, 5, &err) == -1, "line: a byte longer fails");
    tap_is_str("line: and is named", err.msg, "mem:2: line is longer than 5 bytes");
    input_close(in);
    buf_release(&line);
}

/* A writer that sends byte by byte and waits for each to be taken. */
static void test_pipes(const struct buf *text)
{
    struct err err = {.msg = ""};
    size_t len;
    write_with(path_of("pipe.zst"), text);
    char *bytes = file_read(path_of("pipe.zst"), 1 << 24, &len, &err);
    int ends[2];
    if (pipe(ends))
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        for (size_t i = 0; i < len; i++)
            if (write(ends[1], bytes + i, i < 100 ? 1 : len - i) != 1)
                break;
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
    struct buf all = BUF_INIT;
    tap_ok(read_path("-", &all, NULL, &err) == 0 && all.len == text->len &&
               !memcmp(all.p, text->p, all.len),
           "pipe: cut after every byte, decompressed all the same");
    waitpid(child, NULL, 0);
    free(bytes);

    struct input *in;
    struct buf line = BUF_INIT;
    if (pipe(ends) || dup2(ends[0], 0) || write(ends[1], "{}\n", 3) != 3)
        exit(1);
    must(input_open(&in, NULL, &err), &err);
    tap_ok(input_line(in, &line, 100, &err) == 1 && line.len == 2,
           "pipe: a short line arrives before the writer closes");
    tap_is_str("pipe: stdin's name", input_name(in), "stdin");
    close(ends[1]);
    tap_ok(input_line(in, &line, 100, &err) == 0, "pipe: and then the end");
    input_close(in);
    buf_release(&line);
    buf_release(&all);
}

static void test_refusals(void)
{
    struct err err;
    struct input *in;
    struct output *out;
    tap_ok(input_open(&in, "/", &err) == -1, "a directory is no input");
    tap_is_str("and the message says so", err.msg, "/: Is a directory");
    tap_ok(input_open(&in, path_of("nowhere"), &err) == -1 && !in, "a missing file is an error");
    tap_ok(output_open(&out, path_of("no/where.gz"), &err) == -1 && !out,
           "a missing folder is an error");
    must(output_open(&out, path_of("left.gz"), &err), &err);
    must(output_write(out, "x", 1, &err), &err);
    output_abandon(out);
    struct stat st;
    tap_ok(stat(path_of("left.gz"), &st) == -1, "an abandoned output leaves nothing");
    input_close(NULL);
    output_abandon(NULL);
    input_open_memory(&in, "text", "BZhello\n", 8, &err);
    struct buf line = BUF_INIT;
    tap_ok(input_line(in, &line, 100, &err) == 1 && !strcmp(line.p, "BZhello"),
           "text that begins like bzip2 is text");
    input_close(in);
    buf_release(&line);
}

int main(void)
{
    if (!mkdtemp(dir))
        return tap_skip_all("no temporary folder");
    struct buf text = BUF_INIT;
    make_text(&text);
    test_round_trips(&text);
    test_empty();
    test_deterministic(&text);
    test_damage(&text);
    test_lines();
    test_pipes(&text);
    test_refusals();
    buf_release(&text);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) ? 1 : tap_done();
}
