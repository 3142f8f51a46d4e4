/* espalier evaluate: what is evaluated, labels and pictures on disk. */
#include "espalier/limits.h"
#include "server/evaluate/labels.h"
#include "server/evaluate/pictures.h"
#include "tests/support/evaluating.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- labels ---- */

static struct labels *labels_of(const char *list)
{
    struct labels *labels;
    struct esp_error err = {0};

    if (labels_create(&labels, model, list ? write_file("list", list, strlen(list)) : NULL, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return labels;
}

START_TEST(test_labels_of_the_network)
{
    static const struct {
        const char *path;
        size_t category;
    } cases[] = {
        {"pin/1.jpg", PIN},
        {"any/thing/pin/1.jpg", PIN},
        {"/pin/1.jpg", PIN},
        {"./pin/1.jpg", PIN},
        {"../../pin/1.jpg", PIN},
        {"id-cat/1.jpg", CAT},
        {"any/id-cat/1.jpg", CAT},
        {"animal/cat/1.jpg", CAT},
        {"thing/small/cat/1.jpg", SMALL_CAT},
        {"x/thing/small/cat/1.jpg", SMALL_CAT},
        {"dog/1.jpg", BUS}, /* ids before names */
        {"animal/dog/1.jpg", BUS},
        {"cat/1.jpg", SIZE_MAX},       /* which one? */
        {"small/cat/1.jpg", SIZE_MAX}, /* no path of the tree */
        {"animal/1.jpg", SIZE_MAX},    /* a group */
        {"pin", SIZE_MAX},             /* a file in no folder */
        {"/pin", SIZE_MAX},
        {"pin//1.jpg", SIZE_MAX},
        {"", SIZE_MAX},
        {"Pin/1.jpg", PIN}, /* as people write */
        {"x/-- Animal!/(Cat) 1/1.jpg", SIZE_MAX},
        {"x/-- Animal!/(Cat)/1.jpg", CAT},
        {"Thing/ SMALL /\xc3\xa9 Cat/1.jpg", SMALL_CAT},
        {"\xc3\xa9/1.jpg", SIZE_MAX}, /* nothing is left of it */
        {"trunk/1.jpg", SIZE_MAX},
    };
    struct labels *labels = labels_of(NULL);
    char far[ESP_PATH_MAX + 16];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(labels_find(labels, cases[i].path) == cases[i].category, "%s", cases[i].path);
    memset(far, 'x', sizeof far);
    strcpy(far + sizeof far - sizeof "/1.jpg", "/1.jpg");
    ck_assert_uint_eq(labels_find(labels, far), SIZE_MAX);
    labels_destroy(&labels);
    ck_assert_ptr_null(labels);
}
END_TEST

START_TEST(test_labels_of_a_list)
{
    struct labels *labels = labels_of("0042\tsky\r\n\nid-cat\tthing/bus\na folder\tanimal/cat\tmore\n7\tpin");

    ck_assert_uint_eq(labels_find(labels, "a/0042/1.jpg"), SKY);
    ck_assert_uint_eq(labels_find(labels, "a/id-cat/1.jpg"), BUS); /* the list before the ids */
    ck_assert_uint_eq(labels_find(labels, "a folder/1.jpg"), CAT);
    ck_assert_uint_eq(labels_find(labels, "7/1.jpg"), PIN);
    ck_assert_uint_eq(labels_find(labels, "sky/1.jpg"), SKY); /* what it does not list is found as ever */
    labels_destroy(&labels);
}
END_TEST

START_TEST(test_lists_that_are_wrong)
{
    static const char *const cases[][2] = {
        {"a\tpin\nb sky\n", "line 2"},
        {"a\tpin\n\nb\tspoon\n", "line 3 of the labels: no category is called \"spoon\""},
        {"a\tcat\n", "\"cat\""},
        {"a\tanimal\n", "\"animal\""},
        {"a\t\n", "line 1"},
        {"b\tpin\na\tpin\nb\tsky\n", "\"b\" twice"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct labels *labels;
        struct esp_error err = {0};
        const char *path = write_file("list", cases[i][0], strlen(cases[i][0]));
        ck_assert_int_eq(labels_create(&labels, model, path, &err), ESP_ERROR_ARGUMENT);
        ck_assert_msg(strstr(err.text, cases[i][1]) != NULL, "%s", err.text);
        labels_destroy(&labels);
    }
    struct labels *labels;
    struct esp_error err = {0};
    ck_assert_int_eq(labels_create(&labels, model, path_of("nowhere"), &err), ESP_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
    labels_destroy(&labels);
}
END_TEST

/* ---- pictures ---- */

/* What a source gives: "name=first byte*size" for each, or "name too large", and the error's text at the end. */
static char *list_of(const char *path, size_t *others)
{
    struct picture_source *source;
    struct picture picture;
    struct esp_error err = {0};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    double done = 0;

    if (picture_source_open(&source, path, LIMIT, &err) == ESP_OK) {
        while (picture_source_next(source, &picture, &err) == ESP_OK && picture.name) {
            if (picture.bytes)
                fprintf(out, "%s=%c*%zu\n", picture.name, picture.size ? picture.bytes[0] : '-', picture.size);
            else
                fprintf(out, "%s too large\n", picture.name);
            picture_release(&picture);
            ck_assert_double_ge(picture_source_done(source), done);
            done = picture_source_done(source);
            ck_assert_double_le(done, 1);
        }
        if (others)
            *others = picture_source_others(source);
    }
    fprintf(out, "%s", err.text);
    ck_assert(err.status == ESP_OK || err.status == ESP_ERROR_IO);
    picture_source_close(&source);
    ck_assert_ptr_null(source);
    fclose(out);
    return text;
}

START_TEST(test_a_directory)
{
    static const char *const made[] = {"b", "a", "a/z.d", "a/z.d/deep", "empty.jpg"};
    static const char bytes[LIMIT + 1] = "x";
    size_t others;
    char link[PATH];

    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        ck_assert_int_eq(mkdir(path_of(made[i]), 0700), 0);
    write_file("b/2.jpg", "two", 3);
    write_file("b/10.JPEG", "ten", 3);
    write_file("a/z.d/deep/1.jpe", "one", 3);
    write_file("a/most.jpg", bytes, LIMIT);
    write_file("a/more.jpg", bytes, LIMIT + 1);
    write_file("a/none.jpg", "", 0);
    write_file("a/jpg", "", 0);
    write_file("a/1.png", "", 0);
    write_file("top.jpg", "top", 3);
    snprintf(link, sizeof link, "%s", path_of("b/2.jpg"));
    ck_assert_int_eq(symlink(link, path_of("a/link.jpg")), 0);
    ck_assert_int_eq(symlink("nowhere", path_of("a/dangling.jpg")), 0);
    for (int slash = 0; slash < 2; slash++) {
        char *list = list_of(path_of(slash ? "/" : ""), &others);
        ck_assert_str_eq(list, "a/link.jpg=t*3\na/more.jpg too large\na/most.jpg=x*1000\na/none.jpg=-*0\n"
                               "a/z.d/deep/1.jpe=o*3\nb/10.JPEG=t*3\nb/2.jpg=t*3\ntop.jpg=t*3\n");
        ck_assert_uint_eq(others, 3);
        free(list);
    }
}
END_TEST

START_TEST(test_a_file_that_is_gone)
{
    struct picture_source *source;
    struct picture picture;
    struct esp_error err = {0};

    write_file("1.jpg", "one", 3);
    ck_assert_int_eq(picture_source_open(&source, directory, LIMIT, &err), ESP_OK);
    unlink(path_of("1.jpg"));
    ck_assert_int_eq(picture_source_next(source, &picture, &err), ESP_OK); /* others may be there still */
    ck_assert_str_eq(picture.name, "1.jpg");
    ck_assert_ptr_null(picture.bytes);
    ck_assert_str_eq(picture.fault, strerror(ENOENT));
    picture_release(&picture);
    ck_assert_int_eq(picture_source_next(source, &picture, &err), ESP_OK);
    ck_assert_ptr_null(picture.name);
    picture_source_close(&source);
}
END_TEST

static void add_entry(struct archive *archive, const char *name, mode_t type, const char *bytes, size_t size)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname_utf8(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)size);
    if (type == AE_IFLNK)
        archive_entry_set_symlink(entry, "/etc/passwd");
    ck_assert_msg(archive_write_header(archive, entry) >= ARCHIVE_WARN, "%s", archive_error_string(archive));
    ck_assert_int_eq(archive_write_data(archive, bytes, size), (la_ssize_t)size);
    archive_entry_free(entry);
}

/* The endings say format and compression. */
static const char *write_archive(const char *name)
{
    static char path[PATH], many[LIMIT + 1];
    struct archive *archive = archive_write_new();

    snprintf(path, sizeof path, "%s", path_of(name));
    memset(many, 'm', sizeof many);
    ck_assert_int_ge(archive_write_set_format_filter_by_ext(archive, path), ARCHIVE_WARN);
    if (strstr(name, ".tar"))
        ck_assert_int_eq(archive_write_set_format_pax_restricted(archive), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open_filename(archive, path), ARCHIVE_OK);
    add_entry(archive, "z", AE_IFDIR, NULL, 0);
    add_entry(archive, "z/1.jpg", AE_IFREG, "one", 3);
    add_entry(archive, "a/../../2.jpg", AE_IFREG, "two", 3);
    add_entry(archive, "/etc/3.jpg", AE_IFREG, many, LIMIT);
    add_entry(archive, "a/more.jpg", AE_IFREG, many, LIMIT + 1);
    add_entry(archive, "a/link.jpg", AE_IFLNK, NULL, 0);
    add_entry(archive, "a/b.txt", AE_IFREG, many, LIMIT);
    add_entry(archive, "a/none.jpg", AE_IFREG, NULL, 0);
    add_entry(archive, "donn\303\251es/4.jpg", AE_IFREG, "four", 4);
    add_entry(archive, "a/line\n\x1b[31m.jpg", AE_IFREG, "red", 3);
    ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    return path;
}

static const char *const archives[] = {"a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.zip"};

START_TEST(test_an_archive)
{
    size_t others;
    char *list = list_of(write_archive(archives[_i]), &others);

    ck_assert_str_eq(list, "z/1.jpg=o*3\na/../../2.jpg=t*3\n/etc/3.jpg=m*1000\na/more.jpg too large\na/none.jpg=-*0\n"
                           "donn\303\251es/4.jpg=f*4\na/line\n\x1b[31m.jpg=r*3\n");
    ck_assert_uint_eq(others, 2);
    free(list);
}
END_TEST

START_TEST(test_a_truncated_archive)
{
    const char *path = write_archive(archives[_i]);
    struct stat about;

    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_int_eq(truncate(path, about.st_size / 4), 0);
    char *list = list_of(path, NULL), *last = strrchr(list, '\n');
    ck_assert_msg(strstr(last ? last : list, path) != NULL, "%s", list);
    free(list);
}
END_TEST

START_TEST(test_what_is_no_archive)
{
    static const char *const cases[] = {"", "no archive, but some text that is long enough to be looked at\n",
                                        "#mtree\n./etc type=dir\n./etc/1.jpg type=file contents=/etc/passwd\n"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *list = list_of(write_file("a.tar", cases[i], strlen(cases[i])), NULL);
        ck_assert_msg(strstr(list, "a.tar: Unrecognized archive format") != NULL, "%s", list);
        free(list);
    }
    char *list = list_of(path_of("nowhere"), NULL);
    ck_assert_ptr_nonnull(strstr(list, "nowhere: No such file"));
    free(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate_pictures");
    TCase *tests = tcase_create("evaluate_pictures");
    int kinds = sizeof archives / sizeof archives[0];

    tcase_add_checked_fixture(tests, start_evaluating, stop_evaluating);
    tcase_add_test(tests, test_labels_of_the_network);
    tcase_add_test(tests, test_labels_of_a_list);
    tcase_add_test(tests, test_lists_that_are_wrong);
    tcase_add_test(tests, test_a_directory);
    tcase_add_test(tests, test_a_file_that_is_gone);
    tcase_add_loop_test(tests, test_an_archive, 0, kinds);
    tcase_add_loop_test(tests, test_a_truncated_archive, 0, kinds);
    tcase_add_test(tests, test_what_is_no_archive);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
