/*
 * command: a shell command that judges a text, by its exit status.
 */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include <stddef.h>

#include "base/err.h"

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_TIMEOUT };

/*
 * Runs sh -c COMMAND with the text on its standard input, which is a file; what it prints goes
 * nowhere. Exit status 0 passes; any other fails, and so does death by a signal. Beyond `seconds`
 * it and what it has started are killed. -1 where there is no such command (126, 127) or no shell.
 */
int command_judge(const char *command, const char *text, size_t len, double seconds,
                  enum verdict *verdict, struct err *err);

#endif
