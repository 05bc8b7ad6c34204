/* Machines as plans see them: this one's memory, and profiles of others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "model/plan.h"

static const char format[] = "tuneutils machine 1";

/* The number after `key` in a file of lines "key: number unit", or the first one; 0 if none. */
static double number_in(const char *path, const char *key)
{
    char line[256];
    double value = 0;
    FILE *in = fopen(path, "re");
    while (in && fgets(line, sizeof line, in))
        if (!strncmp(line, key, strlen(key))) {
            value = strtod(line + strlen(key), NULL);
            break;
        }
    if (in)
        fclose(in);
    return value;
}

size_t machine_memory(void)
{
    double available = number_in("/proc/meminfo", "MemAvailable:") * 1024;
    double limit = number_in("/sys/fs/cgroup/memory.max", ""); /* "max" is no number */
    double used = number_in("/sys/fs/cgroup/memory.current", "");
    if (limit > 0 && limit - used < available)
        available = fmax(limit - used, 0);
    return (size_t)available;
}

int machine_load(struct machine *m, const char *path, struct err *err)
{
    const char *key;
    json_t *value, *object = json_read_file(path, 1 << 20, err);
    const char *found = json_string_value(json_object_get(object, "format"));
    int rc = 0;
    if (!object)
        return -1;
    *m = (struct machine){0};
    if (!found || strcmp(found, format))
        rc = err_set(err, "%s: is no profile of a machine, as --save-machine writes it", path);
    json_object_foreach(object, key, value)
    {
        double v = json_number_value(value);
        bool number = json_is_number(value) && v >= 0 && v < 1e18;
        if (rc || !strcmp(key, "format"))
            continue;
        if (number && !strcmp(key, "memory"))
            m->memory = (size_t)v;
        else if (number && !strcmp(key, "fp32"))
            m->rates[BACKEND_FP32] = v;
        else if (number && !strcmp(key, "bf16"))
            m->rates[BACKEND_BF16] = v;
        else
            rc = err_set(err, "%s: \"%s\": %s", path, key,
                         number ? "is not known" : "is not a number from 0 on");
    }
    json_decref(object);
    return rc;
}

int machine_save(const struct machine *m, const char *path, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "{\"format\":\"%s\",\"memory\":%zu", format, m->memory);
    for (enum backend k = BACKEND_FP32; k <= BACKEND_BF16; k++)
        if (m->rates[k] > 0)
            buf_addf(&b, ",\"%s\":%.4g", backend_choices[k], m->rates[k]);
    buf_addstr(&b, "}\n");
    int rc = output_whole(path, b.p, b.len, err);
    buf_release(&b);
    return rc;
}
