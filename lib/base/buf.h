/*
 * buf: bytes that grow.
 *
 * p is never NULL after buf_init and p[len] is always 0, so a buf that holds text is a C string
 * too; the bytes may hold NULs. The buf owns p.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *p;
    size_t len, cap;
};

extern char buf_empty[1];
#define BUF_INIT                                                                                   \
    {                                                                                              \
        buf_empty, 0, 0                                                                            \
    }

void buf_init(struct buf *b);
void buf_release(struct buf *b);               /* frees; the buf is empty and usable again */
void buf_clear(struct buf *b);                 /* len = 0, keeps the memory */
void buf_reserve(struct buf *b, size_t extra); /* room for `extra` more bytes and the NUL */
void buf_add(struct buf *b, const void *p, size_t len);
void buf_addstr(struct buf *b, const char *s);
void buf_addch(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_addu(struct buf *b, uint64_t v); /* decimal digits, faster than buf_addf */
/* The code point in UTF-8. A surrogate or a value above 0x10ffff becomes U+FFFD. */
void buf_addutf8(struct buf *b, uint32_t codepoint);
char *buf_detach(struct buf *b, size_t *len); /* the caller owns the result; len may be NULL */

#endif
