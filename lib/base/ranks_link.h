/*
 * ranks_link: what ranks.c asks of the library that connects ranks. Private to lib/base/ranks*.c.
 */
#ifndef BASE_RANKS_LINK_H
#define BASE_RANKS_LINK_H

#include "base/ranks.h"

struct ranks {
    size_t n, me, threads;
    bool failed;
};

/* Connects with the others that the launcher started; how many there are is for it to say. */
int link_open(struct ranks *r, struct err *err);
void link_close(void);
void link_broadcast(size_t from, void *p, size_t len);
void link_merge(void *p, size_t len);
void link_deal(const struct ranks *r, float *const *vectors, const size_t *counts,
               const size_t *slices, float *out);
void link_gather(const struct ranks *r, float *x, const size_t *slices);

#endif
