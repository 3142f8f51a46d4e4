#include "server/models/bundled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NETWORK "tiny-imagenet-200"
#define SAMPLE  "samples/orange.jpg"

/* From the directory of the program: build/server/espalier in a clone, bin/espalier in an installation. */
static const char *const places[] = {"../../deploy/models/" NETWORK, "../share/espalier/models/" NETWORK};
static const char *const samples[] = {"../../deploy/" SAMPLE, "../share/espalier/" SAMPLE};

/* The directory of the program, without a slash at its end. */
static bool own_directory(char directory[BUNDLED_PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, BUNDLED_PATH_MAX - 1);
    if (length <= 0)
        return false;
    directory[length] = '\0';
    char *slash = strrchr(directory, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

static bool holds_network(const char *directory)
{
    char file[BUNDLED_PATH_MAX + 16];
    snprintf(file, sizeof file, "%s/model.json", directory);
    return access(file, R_OK) == 0;
}

/* Writes the path of the place in its shortest form, if there is something. */
static bool try_place(const char *own, const char *place, char path[BUNDLED_PATH_MAX])
{
    char candidate[2 * BUNDLED_PATH_MAX];
    snprintf(candidate, sizeof candidate, "%s/%s", own, place);
    return realpath(candidate, path) != NULL;
}

enum esp_status bundled_model(const char *given, char directory[BUNDLED_PATH_MAX], struct esp_error *err)
{
    char own[BUNDLED_PATH_MAX];

    if (given && *given) {
        if (snprintf(directory, BUNDLED_PATH_MAX, "%s", given) < BUNDLED_PATH_MAX)
            return ESP_OK;
        return esp_fail(err, ESP_ERROR_ARGUMENT, "the model directory's path is too long");
    }
    if (!own_directory(own))
        return esp_fail(err, ESP_ERROR_IO, "where the program lies is not known; give the network with --model DIR");
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (try_place(own, places[i], directory) && holds_network(directory))
            return ESP_OK;
    return esp_fail(err, ESP_ERROR_IO,
                    "the bundled network is neither in %.160s/%s nor in %.160s/%s; give one with --model DIR", own,
                    places[0], own, places[1]);
}

bool bundled_sample(char path[BUNDLED_PATH_MAX])
{
    char own[BUNDLED_PATH_MAX];

    if (!own_directory(own))
        return false;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        if (try_place(own, samples[i], path) && access(path, R_OK) == 0)
            return true;
    return false;
}
