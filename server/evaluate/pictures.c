#include "server/evaluate/pictures.h"

#include "server/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { READ_AT_ONCE = 1 << 16 };

struct picture_source {
    size_t bytes_max, others, closed_folders;
    char *path, *closed_why;
    char **files; /* of a directory: paths below it, sorted */
    size_t count, next;
    struct archive *archive;
    uint64_t archive_bytes;
};

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the pictures");
}

static bool is_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* ---- directories ---- */

static bool add_file(struct picture_source *source, const char *path)
{
    if ((source->count & (source->count + 1)) == 0) { /* 2^n - 1: doubled before it is full */
        char **files = realloc(source->files, (2 * source->count + 2) * sizeof *files);
        if (!files)
            return false;
        source->files = files;
    }
    return (source->files[source->count] = strdup(path)) && ++source->count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void make_printable(char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            *name = '?';
}

/* What is below stays unknown; the rest is read all the same. */
static enum esp_status note_closed(struct picture_source *source, const FTSENT *entry, struct esp_error *err)
{
    if (entry->fts_level == FTS_ROOTLEVEL)
        return esp_fail(err, ESP_ERROR_IO, "%.300s: %s", entry->fts_path, strerror(entry->fts_errno));
    if (source->closed_folders++ == 0 &&
        asprintf(&source->closed_why, "%s: %s", entry->fts_path, strerror(entry->fts_errno)) < 0) {
        source->closed_why = NULL;
        return no_memory(err);
    }
    make_printable(source->closed_why);
    return ESP_OK;
}

static enum esp_status list_directory(struct picture_source *source, struct esp_error *err)
{
    char *const roots[] = {source->path, NULL};
    size_t root = strcmp(source->path, "/") == 0 ? 1 : strlen(source->path) + 1;
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    enum esp_status status = ESP_OK;

    if (!walk)
        return esp_fail(err, ESP_ERROR_IO, "%s: %s", source->path, strerror(errno));
    for (FTSENT *entry; status == ESP_OK && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            status = note_closed(source, entry, err);
        else if (entry->fts_info == FTS_SLNONE || (entry->fts_info == FTS_F && !is_picture(entry->fts_name)))
            source->others++;
        else if (entry->fts_info == FTS_F && !add_file(source, entry->fts_path + root))
            status = no_memory(err);
    }
    fts_close(walk);
    if (status == ESP_OK && source->count)
        qsort(source->files, source->count, sizeof *source->files, by_name);
    return status;
}

/* Drops the bytes of a picture that is too large, and says so. */
static enum esp_status check_size(const struct picture_source *source, struct picture *picture, struct esp_error *err)
{
    if (picture->size <= source->bytes_max)
        return ESP_OK;
    free(picture->bytes);
    picture->bytes = NULL;
    if (asprintf(&picture->fault, "larger than the %zu bytes that a picture may have", source->bytes_max) >= 0)
        return ESP_OK;
    picture->fault = NULL;
    return no_memory(err);
}

static enum esp_status next_file(struct picture_source *source, struct picture *picture, struct esp_error *err)
{
    struct esp_error fault = {0};
    char *path;

    if (source->next == source->count)
        return ESP_OK;
    picture->name = strdup(source->files[source->next++]);
    if (!picture->name || asprintf(&path, "%s/%s", source->path, picture->name) < 0)
        return no_memory(err);
    picture->bytes = file_read(path, source->bytes_max, &picture->size, &fault);
    free(path);
    if (picture->bytes)
        return check_size(source, picture, err);
    return fault.status != ESP_ERROR_MEMORY && (picture->fault = strdup(fault.text)) ? ESP_OK : no_memory(err);
}

/* ---- archives ---- */

static enum esp_status archive_fault(const struct picture_source *source, struct esp_error *err)
{
    const char *text = archive_error_string(source->archive);
    return esp_fail(err, ESP_ERROR_IO, "%.200s: %.200s", source->path, text ? text : "cannot be read");
}

static enum esp_status open_archive(struct picture_source *source, struct esp_error *err)
{
    source->archive = archive_read_new();
    if (!source->archive)
        return no_memory(err);
    /* Not all that there are: some run programs, an mtree names files of this machine, and xar alone would bring an XML
     * parser, and with it 35 MB of ICU, into a container. */
    archive_read_support_filter_gzip(source->archive);
    archive_read_support_filter_bzip2(source->archive);
    archive_read_support_filter_xz(source->archive);
    archive_read_support_filter_zstd(source->archive);
    archive_read_support_format_tar(source->archive);
    archive_read_support_format_zip(source->archive);
    archive_read_support_format_7zip(source->archive);
    if (archive_read_open_filename(source->archive, source->path, READ_AT_ONCE) != ARCHIVE_OK)
        return archive_fault(source, err);
    return ESP_OK;
}

static enum esp_status read_content(struct picture_source *source, struct picture *picture, struct esp_error *err)
{
    uint8_t *bytes = malloc(source->bytes_max + 1);
    la_ssize_t got = 0;

    if (!bytes)
        return no_memory(err);
    while (picture->size <= source->bytes_max &&
           (got = archive_read_data(source->archive, bytes + picture->size, source->bytes_max + 1 - picture->size)) > 0)
        picture->size += (size_t)got;
    if (got < 0) {
        free(bytes);
        return archive_fault(source, err);
    }
    uint8_t *fitting = realloc(bytes, picture->size ? picture->size : 1);
    picture->bytes = fitting ? fitting : bytes;
    return check_size(source, picture, err);
}

static enum esp_status next_entry(struct picture_source *source, struct picture *picture, struct esp_error *err)
{
    for (struct archive_entry *entry;;) {
        int result = archive_read_next_header(source->archive, &entry);
        if (result == ARCHIVE_EOF)
            return ESP_OK;
        if (result == ARCHIVE_FATAL || result == ARCHIVE_FAILED)
            return archive_fault(source, err);
        const char *name = archive_entry_pathname(entry);
        if (archive_entry_filetype(entry) == AE_IFDIR)
            continue;
        if (archive_entry_filetype(entry) != AE_IFREG || !name || !is_picture(name)) {
            source->others++;
            continue;
        }
        picture->name = strdup(name);
        return picture->name ? read_content(source, picture, err) : no_memory(err);
    }
}

/* ---- both ---- */

static enum esp_status open_either(struct picture_source *source, struct esp_error *err)
{
    struct stat about;

    if (stat(source->path, &about) < 0)
        return esp_fail(err, ESP_ERROR_IO, "%s: %s", source->path, strerror(errno));
    source->archive_bytes = (uint64_t)about.st_size;
    return S_ISDIR(about.st_mode) ? list_directory(source, err) : open_archive(source, err);
}

enum esp_status picture_source_open(struct picture_source **source, const char *path, size_t bytes_max,
                                    struct esp_error *err)
{
    struct picture_source *opened = calloc(1, sizeof *opened);

    *source = opened;
    if (!opened || !(opened->path = strdup(path)))
        return no_memory(err);
    for (size_t length = strlen(path); length > 1 && opened->path[length - 1] == '/'; length--)
        opened->path[length - 1] = 0;
    opened->bytes_max = bytes_max;
    return open_either(opened, err);
}

void picture_source_close(struct picture_source **source)
{
    struct picture_source *closed = *source;

    *source = NULL;
    if (!closed)
        return;
    if (closed->archive)
        archive_read_free(closed->archive);
    for (size_t i = 0; i < closed->count; i++)
        free(closed->files[i]);
    free(closed->files);
    free(closed->closed_why);
    free(closed->path);
    free(closed);
}

enum esp_status picture_source_next(struct picture_source *source, struct picture *picture, struct esp_error *err)
{
    *picture = (struct picture){0};
    enum esp_status status = source->archive ? next_entry(source, picture, err) : next_file(source, picture, err);
    if (status != ESP_OK)
        picture_release(picture);
    return status;
}

void picture_release(struct picture *picture)
{
    free(picture->name);
    free(picture->bytes);
    free(picture->fault);
    *picture = (struct picture){0};
}

double picture_source_done(const struct picture_source *source)
{
    if (!source->archive)
        return source->count ? (double)source->next / (double)source->count : 1;
    double read = (double)archive_filter_bytes(source->archive, -1);
    return source->archive_bytes && read < (double)source->archive_bytes ? read / (double)source->archive_bytes : 1;
}

size_t picture_source_others(const struct picture_source *source)
{
    return source->others;
}

size_t picture_source_closed_folders(const struct picture_source *source, const char **why)
{
    *why = source->closed_why;
    return source->closed_folders;
}
