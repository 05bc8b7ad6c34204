/*
 * base64: bytes out of their base64 (RFC 4648, section 4), with or without the filling at its end.
 */
#ifndef TEXT_BASE64_H
#define TEXT_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* The six bits that a character stands for; -1 for any other. */
int base64_digit(char c);

/* out has room for len bytes. -1 where p[len] holds anything else. */
int base64_decode(const char *p, size_t len, uint8_t *out, size_t *n);

#endif
