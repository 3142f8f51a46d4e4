/* A cutout as a network of its own: a smaller model directory, for a device that never needs the rest.
 *
 * It holds the trunk and the branches that the cutout runs: their names, labels, ids, heads, calibrations and layers as
 * they stand in the whole network's model.json, and their tensors byte for byte. So its scores have the same bits as
 * the cutout's, whatever kernels run both. Attention weights are the request's, and are not written; a node that is
 * silenced does not run, and is left out. */
#ifndef ESPALIER_EXPORT_H
#define ESPALIER_EXPORT_H

#include "espalier/cutout.h"
#include "espalier/limits.h"

struct esp_export {
    const char *source;    /* the model directory that the cutout's model was loaded from */
    const char *directory; /* where to: it must not be there yet, or be empty */
    const char *name;      /* of the new network; NULL for the old one's with "-cutout" behind it. The version stays */
};

/* What was written. */
struct esp_exported {
    char name[ESP_NAME_MAX + 1];
    size_t bytes, bytes_full; /* of the two files, and of those of the whole network */
};

/* Writes a closed cutout. The files are written into a directory with a temporary name beside `directory`, loaded once
 * to see that they are good, and get their name at once; in a directory that is there already, from one inside it, and
 * model.json last: whoever looks finds all of it or nothing, and nothing remains of what failed. ESP_ERROR_ARGUMENT:
 * the name is none for a network, or the cutout is not closed. ESP_ERROR_IO: the directory holds something, or cannot
 * be written. ESP_ERROR_MODEL: the source has been replaced since it was loaded. Not for the request path: allocates,
 * and takes the memory of both networks for a while. */
enum esp_status esp_cutout_export(const esp_cutout *cutout, const struct esp_export *export,
                                  struct esp_exported *exported, struct esp_error *err);

#endif
