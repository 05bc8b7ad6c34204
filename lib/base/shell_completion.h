/*
 * shell_completion: what bash, zsh and fish need to know to complete a program's command line, made
 * of the table of options that also parses it.
 *
 * What completes a value follows from its option: its choices, which a list joins by commas; files,
 * folders or models where the metavariable is FILE, PATH, OUT, FOLDER, MODEL, GGUF or ADAPTER,
 * whatever follows it ("ADAPTER[:WEIGHT]"); else nothing. Operands are files where the synopsis has
 * [FILE or [PATH.
 */
#ifndef BASE_SHELL_COMPLETION_H
#define BASE_SHELL_COMPLETION_H

#include "base/buf.h"
#include "base/program.h"

/* Adds the script for the shell; the program's table has no OPT_TABLE in it. -1: unknown shell. */
int shell_completion(struct buf *out, const struct program *program, const char *shell);

#endif
