/* Labelled pictures on disk: <anything>/<label>/<file>.jpg in a directory, or in an archive (tar, plain or
 * compressed, zip or 7z) that is read as a stream, without unpacking anything to disk. Files that are not called .jpg,
 * .jpeg or .jpe are passed by, and links in archives and links to nothing, too. In an archive, names that are not ASCII
 * want a locale (LC_CTYPE) of UTF-8; without it these files may be passed by. Used by one thread at a time. */
#ifndef SERVER_EVALUATE_PICTURES_H
#define SERVER_EVALUATE_PICTURES_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct picture_source;

struct picture {
    char *name;     /* its path below the directory, or in the archive; NULL after the last one */
    uint8_t *bytes; /* NULL where it cannot be read, or is larger than the limit: `fault` says why then */
    size_t size;
    char *fault;
};

/* `bytes_max` is the most that one picture may have. Directories are read in the order of their names, archives in
 * their own. ESP_ERROR_IO: there is no such thing, or it cannot be opened. Close it with picture_source_close, which
 * sets the pointer to NULL. */
enum esp_status picture_source_open(struct picture_source **source, const char *path, size_t bytes_max,
                                    struct esp_error *err);
void picture_source_close(struct picture_source **source);

/* The next one, for the caller to release. ESP_ERROR_IO: the archive is none, or is broken from here on. */
enum esp_status picture_source_next(struct picture_source *source, struct picture *picture, struct esp_error *err);

void picture_release(struct picture *picture);

/* Replaces what would break a line or talk to a terminal, for people to read: names come from whoever made the
 * pictures. */
void make_printable(char *name);

/* How much of it has been read, 0 to 1. */
double picture_source_done(const struct picture_source *source);

/* Files that were passed by. */
size_t picture_source_others(const struct picture_source *source);

/* Folders that could not be looked into, and why not for the first of them ("NAME: why", printable, the source's; NULL
 * for none). */
size_t picture_source_closed_folders(const struct picture_source *source, const char **why);

#endif
