/* A directory that appears at once: it is filled under a temporary name beside its own, and renamed. One that is there
 * already and empty, as a volume mounted into a container is, or ".", cannot be replaced: what belongs there is filled
 * inside it, and its files get their names one after the other, the first one last. */
#ifndef ESP_CORE_EXPORT_FOLDER_H
#define ESP_CORE_EXPORT_FOLDER_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { ESP_FOLDER_PATH_MAX = 4096, ESP_FOLDER_FILES_MAX = 4 };

struct esp_folder {
    char path[ESP_FOLDER_PATH_MAX];      /* its own */
    char temporary[ESP_FOLDER_PATH_MAX]; /* as long as it is being filled; "" otherwise */
    bool inside;                         /* the temporary one is in its own */
    const char *files[ESP_FOLDER_FILES_MAX];
    size_t count, moved; /* the last `moved` files have their names */
};

/* Bytes of a file that is written from several places in memory. */
struct esp_piece {
    const void *bytes;
    size_t size;
};

/* Makes the temporary directory. The text of ESP_ERROR_IO says what is in the way: something that is there already (an
 * empty directory is not), or that the directory above is missing. */
enum esp_status esp_folder_begin(struct esp_folder *folder, const char *path, struct esp_error *err);

/* Writes a new file, and waits until the disk has it. `name` has to live on. The file without which the directory means
 * nothing comes first. */
enum esp_status esp_folder_write(struct esp_folder *folder, const char *name, const struct esp_piece *pieces,
                                 size_t count, struct esp_error *err);

/* Gives the directory, or the files in it, their names. ESP_ERROR_IO also where something has come there meanwhile. */
enum esp_status esp_folder_finish(struct esp_folder *folder, struct esp_error *err);

/* Removes what has been written, unless it is finished. */
void esp_folder_abandon(struct esp_folder *folder);

#endif
