/*
 * files: paths of test data and of a scratch folder in unit tests.
 */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <stdio.h>
#include <stdlib.h>

/* Each call's result holds until the fourth one after it. `folder` is the test's own. */
__attribute__((unused)) static const char *data_file(const char *name)
{
    static char path[4][512];
    static int turn;
    const char *src = getenv("SRCDIR");
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/tests/data/%s", src ? src : ".", name);
    return path[turn];
}

__attribute__((unused)) static const char *scratch_in(const char *folder, const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

#endif
