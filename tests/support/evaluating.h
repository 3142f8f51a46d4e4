/* What the tests of espalier evaluate share: a network in which names repeat, and an empty directory. A test case has
 * start_evaluating and stop_evaluating as its checked fixture, or calls them in its own. */
#ifndef ESP_TESTS_EVALUATING_H
#define ESP_TESTS_EVALUATING_H

#include "tests/support/networks.h"
#include "tests/support/support.h"

/* The network's categories: animal (cat, dog), thing (small (cat, pin), bus), sky. Two are called cat; their ids are
 * id-cat and id-small-cat, dog's is id-dog, and that of bus is dog. */
enum { CAT, DOG, SMALL_CAT, PIN, BUS, SKY, CATEGORIES };

enum { PATH = 256, LIMIT = 1000 }; /* bytes: of a path, and of a picture at most */

extern esp_model *model; /* a test may put another in its place */
extern char directory[DIRECTORY_MAX];

void start_evaluating(void);
void stop_evaluating(void);

/* A path below the directory, in a static buffer that the next call writes again. */
const char *path_of(const char *name);

/* Writes a file there, whose path it returns as path_of does; fails the test where it cannot. */
const char *write_file(const char *name, const void *bytes, size_t size);

#endif
