/*
 * err: one line that says what went wrong, built from the inside out.
 *
 * A library function that fails fills its `struct err` and returns -1; each
 * level on the way up prefixes what it was doing, so that the program prints
 * "model.safetensors: tensor x.weight: shape [64, 32], config.json says [64, 64]".
 * Only programs print or exit.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
    char msg[1024]; /* never empty after a failure; cut with "..." if too long */
};

/* Sets the message. Returns -1, so that `return err_set(err, ...)` reads well. err may be NULL. */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As err_set, followed by ": " and strerror(errno). */
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<formatted>: " before the message that is there. Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Static analysers, which read a file at a time, are told what these return. */
#ifdef ANALYSED
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_errno(...) (err_errno(__VA_ARGS__), -1)
#define err_prefix(...) (err_prefix(__VA_ARGS__), -1)
#endif

#endif
