/* metrics: the lines, and where a log is cut when a run goes on. */
#include "tap.h"

#include <unistd.h>

#include "base/mapfile.h"
#include "base/outfile.h"
#include "model/metrics.h"

static char path[] = "/tmp/test-metrics-XXXXXX";

static char *content(void)
{
    static char *text;
    struct err err;
    free(text);
    text = file_read(path, 1 << 20, NULL, &err);
    if (!text) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    return text;
}

static void test_lines(void)
{
    struct metrics m;
    struct err err;
    const struct metrics_step s = {.step = 1,
                                   .loss = 2.5,
                                   .grad_norm = 0.1,
                                   .lr = 1e-4,
                                   .tokens = 100,
                                   .trained = 60,
                                   .tok_per_s = 123.456,
                                   .rss = 4096};
    tap_ok(!metrics_open(&m, path, &err) && !metrics_add_step(&m, &s, &err) &&
               !metrics_add_eval(&m, 1, 0, NULL, &err) && !metrics_sync(&m, &err) &&
               !metrics_close(&m, &err),
           "a log is written");
    tap_is_str("its lines", content(),
               "{\"step\":1,\"loss\":2.5,\"grad_norm\":0.1,\"lr\":0.0001,\"tokens\":100,"
               "\"trained\":60,\"tok_per_s\":123.5,\"rss\":4096}\n"
               "{\"step\":1,\"eval_loss\":0.0,\"eval_ppl\":1.0}\n");
    tap_ok(!metrics_open(&m, NULL, &err) && !metrics_add_step(&m, &s, &err) &&
               !metrics_close(&m, &err),
           "no log is no error");
    tap_ok(metrics_open(&m, "/no/such/folder/log", &err) && strstr(err.msg, "/no/such/folder/log"),
           "a log that can't be is one, and named");
}

#define STEP(n) "{\"step\":" #n ",\"loss\":1.0}\n"
#define EVAL(n) "{\"step\":" #n ",\"eval_loss\":1.0}\n"

static void resumes(const char *name, const char *before, uint64_t step, bool evaluated,
                    const char *want)
{
    struct metrics m;
    struct err err;
    if (file_write(path, before, strlen(before), &err) ||
        metrics_resume(&m, path, step, evaluated, &err) ||
        metrics_add_eval(&m, 99, 0, NULL, &err) || metrics_close(&m, &err)) {
        tap_ok(false, "%s: %s", name, err.msg);
        return;
    }
    char whole[1024];
    snprintf(whole, sizeof whole, "%s{\"step\":99,\"eval_loss\":0.0,\"eval_ppl\":1.0}\n", want);
    tap_is_str(name, content(), whole);
}

static void test_resume(void)
{
    const char *log = STEP(1) STEP(2) EVAL(2) STEP(3) STEP(4) EVAL(4);
    resumes("lines after the checkpoint go", log, 3, false, STEP(1) STEP(2) EVAL(2) STEP(3));
    resumes("an evaluation that is done stays", log, 2, true, STEP(1) STEP(2) EVAL(2));
    resumes("one that will be repeated goes", log, 2, false, STEP(1) STEP(2));
    resumes("a run that hasn't begun", log, 0, true, "");
    resumes("a log that ends at the checkpoint", log, 4, true, log);
    resumes("a log that ends before it", log, 9, true, log);
    resumes("a line that was cut off", STEP(1) STEP(2) "{\"step\":3,\"lo", 3, true,
            STEP(1) STEP(2));
    resumes("nothing but a piece of a line", "{\"st", 3, true, "");
    resumes("an empty log", "", 3, true, "");

    struct metrics m;
    struct err err;
    unlink(path);
    tap_ok(!metrics_resume(&m, path, 3, true, &err) && !metrics_close(&m, &err) && !*content(),
           "a log that isn't there is begun");
}

static void test_foreign(void)
{
    static const char *const texts[] = {"a letter\nto my aunt\n", "{\"text\":\"a document\"}\n",
                                        STEP(1) "[]\n"};
    for (size_t i = 0; i < 3; i++) {
        struct metrics m;
        struct err err;
        file_write(path, texts[i], strlen(texts[i]), &err);
        tap_ok(metrics_resume(&m, path, 1, true, &err) && strstr(err.msg, "no line of a training"),
               "a file that is no log is refused");
        tap_is_str("and left as it is", content(), texts[i]);
    }
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    test_lines();
    test_resume();
    test_foreign();
    unlink(path);
    return tap_done();
}
