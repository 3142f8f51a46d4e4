/* Networks of the project, copied and changed, in directories that a test makes and removes. */
#ifndef ESP_TESTS_NETWORKS_H
#define ESP_TESTS_NETWORKS_H

#include <stdbool.h>

enum { DIRECTORY_MAX = 64 };

/* A new empty directory in /tmp. */
void make_directory(char directory[DIRECTORY_MAX]);

/* Removes it with all that is in it. */
void remove_directory(const char *directory);

/* Writes a copy of the project's model directory `source` into `directory`: with a calibration in every leaf, each
 * another one, or with none. */
void copy_network(const char *source, const char *directory, bool calibrated);

#endif
