/* Where the network and the picture are that come with the program. */
#ifndef SERVER_MODELS_BUNDLED_H
#define SERVER_MODELS_BUNDLED_H

#include "espalier/error.h"

#include <limits.h>
#include <stdbool.h>

enum { BUNDLED_PATH_MAX = PATH_MAX };

/* Writes the model directory to use: `given`, or, where that is NULL or empty, the bundled one, which is looked for
 * relative to where the program lies: in the clone above a build tree, or in an installation's share directory. An
 * error's text names the places that were tried. Thread-safe. */
enum esp_status bundled_model(const char *given, char directory[BUNDLED_PATH_MAX], struct esp_error *err);

/* Writes the path of a JPEG that comes with the program, looked for in the same places; false where there is none. */
bool bundled_sample(char path[BUNDLED_PATH_MAX]);

#endif
