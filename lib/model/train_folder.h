/*
 * train_folder: the folder of a training run: who may write into it, and how to go on with it.
 *
 *     adapter_config.json, adapter_model.safetensors   the adapter, ft-adapter(5)
 *     train_state.safetensors                          model/train_state.h
 *     train_run.json                                   where the inputs were, for a plain --resume
 *
 * The first three are functions of the inputs alone; train_run.json is about this machine.
 */
#ifndef MODEL_TRAIN_FOLDER_H
#define MODEL_TRAIN_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct train_folder {
    char *path;
    char *state; /* PATH/train_state.safetensors */
    char *run;   /* PATH/train_run.json */
    int fd;      /* holds the lock */
};

/* Opens the folder, made if `create`, and locks it: another run in it is an error.
 * What a killed run left under temporary names is removed. */
int train_folder_open(struct train_folder *f, const char *path, bool create, struct err *err);
/* Names the files of one that another process has opened, to read them. */
void train_folder_name(struct train_folder *f, const char *path);
void train_folder_close(struct train_folder *f);
bool train_folder_has_state(const struct train_folder *f);

/* Removes an earlier run's adapter_config.json: its values are about to be replaced, and half of
 * each would be no adapter. */
int train_folder_drop_adapter(const struct train_folder *f, struct err *err);

/* What a run reads and writes, and what changes no result. */
struct train_run {
    char *model, *held, *log; /* NULL: none; absolute, or "-" */
    char **rows;              /* none: standard input */
    size_t n_rows;
    size_t threads, checkpoint_every;
};

void train_run_release(struct train_run *run);
/* Replaces a path by one that means the same from any folder; NULL changes nothing. */
void train_run_set(char **at, const char *path);
void train_run_set_rows(struct train_run *run, const char *const *rows, size_t n);
int train_run_save(const struct train_run *run, const struct train_folder *f, struct err *err);
/* A missing file is an empty run. */
int train_run_load(struct train_run *run, const struct train_folder *f, struct err *err);

#endif
