#include "core/export/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 100 }; /* temporary names that may be taken */

static enum esp_status occupied(const struct esp_folder *folder, struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_IO, "%.400s is there already, and not an empty directory; name another one",
                    folder->path);
}

/* Whether a path is that of a directory with nothing in it. */
static bool is_empty(const char *path)
{
    DIR *directory = opendir(path);
    int entries = 0;

    while (directory && entries <= 2 && readdir(directory))
        entries++;
    if (directory)
        closedir(directory);
    return directory && entries <= 2; /* . and .. */
}

static enum esp_status make_temporary(struct esp_folder *folder, struct esp_error *err)
{
    for (int i = 0; i < TRIES; i++) {
        int length = snprintf(folder->temporary, sizeof folder->temporary, "%s%s.new-%ld-%d", folder->path,
                              folder->inside ? "/" : "", (long)getpid(), i);
        if (length < 0 || (size_t)length >= sizeof folder->temporary)
            errno = ENAMETOOLONG;
        else if (mkdir(folder->temporary, 0777) == 0)
            return ESP_OK;
        if (errno != EEXIST)
            break;
    }
    folder->temporary[0] = '\0';
    return esp_fail(err, ESP_ERROR_IO, "cannot make a directory %s %.350s: %s%s", folder->inside ? "in" : "beside",
                    folder->path, strerror(errno), errno == ENOENT ? "; make the one above it first" : "");
}

enum esp_status esp_folder_begin(struct esp_folder *folder, const char *path, struct esp_error *err)
{
    struct stat info;
    size_t length = strlen(path);

    *folder = (struct esp_folder){0};
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length >= sizeof folder->path)
        return esp_fail(err, ESP_ERROR_IO, "a directory's name is missing or too long");
    memcpy(folder->path, path, length);
    folder->inside = stat(folder->path, &info) == 0 && S_ISDIR(info.st_mode) && is_empty(folder->path);
    if (!folder->inside && lstat(folder->path, &info) == 0)
        return occupied(folder, err);
    return make_temporary(folder, err);
}

static bool write_pieces(FILE *file, const struct esp_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fwrite(pieces[i].bytes, 1, pieces[i].size, file) != pieces[i].size)
            return false;
    return fflush(file) == 0 && fsync(fileno(file)) == 0;
}

static void path_in(const char *directory, const char *name, char path[ESP_FOLDER_PATH_MAX + 32])
{
    snprintf(path, ESP_FOLDER_PATH_MAX + 32, "%s/%.30s", directory, name);
}

enum esp_status esp_folder_write(struct esp_folder *folder, const char *name, const struct esp_piece *pieces,
                                 size_t count, struct esp_error *err)
{
    char path[ESP_FOLDER_PATH_MAX + 32];

    path_in(folder->temporary, name, path);
    FILE *file = fopen(path, "wbxe");
    if (file)
        folder->files[folder->count++] = name;
    bool good = file && write_pieces(file, pieces, count);
    int cause = errno;
    if (file && fclose(file) != 0 && good) {
        good = false;
        cause = errno;
    }
    return good ? ESP_OK : esp_fail(err, ESP_ERROR_IO, "cannot write %.400s: %s", path, strerror(cause));
}

/* Moves a file without replacing one. Not every file system can promise that: there, the directory was empty before. */
static int move(const char *from, const char *to)
{
    int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

    return result != 0 && (errno == EINVAL || errno == ENOSYS) ? rename(from, to) : result;
}

static int move_files(struct esp_folder *folder)
{
    char from[ESP_FOLDER_PATH_MAX + 32], to[ESP_FOLDER_PATH_MAX + 32];

    for (; folder->moved < folder->count; folder->moved++) {
        const char *name = folder->files[folder->count - folder->moved - 1];
        path_in(folder->temporary, name, from);
        path_in(folder->path, name, to);
        if (move(from, to) != 0)
            return -1;
    }
    return rmdir(folder->temporary);
}

enum esp_status esp_folder_finish(struct esp_folder *folder, struct esp_error *err)
{
    /* rename() replaces an empty directory, and nothing else */
    if ((folder->inside ? move_files(folder) : rename(folder->temporary, folder->path)) == 0) {
        folder->temporary[0] = '\0';
        return ESP_OK;
    }
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
        return occupied(folder, err);
    return esp_fail(err, ESP_ERROR_IO, "cannot give the directory its name, %.350s: %s", folder->path, strerror(errno));
}

void esp_folder_abandon(struct esp_folder *folder)
{
    char path[ESP_FOLDER_PATH_MAX + 32];

    if (!folder->temporary[0])
        return;
    for (size_t i = 0; i < folder->count; i++) {
        path_in(i < folder->count - folder->moved ? folder->temporary : folder->path, folder->files[i], path);
        unlink(path);
    }
    rmdir(folder->temporary);
    folder->temporary[0] = '\0';
}
