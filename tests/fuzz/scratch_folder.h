/* scratch_folder: a folder in memory, where there is one, whose files a fuzzer writes anew. */
#ifndef TESTS_SCRATCH_FOLDER_H
#define TESTS_SCRATCH_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[64];

static void scratch_remove(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", scratch_folder);
    if (system(command))
        fprintf(stderr, "%s is left\n", scratch_folder);
}

static void scratch_make(void)
{
    if (scratch_folder[0])
        return;
    strcpy(scratch_folder, access("/dev/shm", W_OK) ? "/tmp/fuzz-XXXXXX" : "/dev/shm/fuzz-XXXXXX");
    if (!mkdtemp(scratch_folder))
        abort();
    atexit(scratch_remove);
}

static void scratch_write(const char *name, const void *p, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch_folder, name);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(p, 1, len, f) != len || fclose(f))
        abort();
}

#endif
