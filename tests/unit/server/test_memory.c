/* The memory of requests and answers: buffers, growing bytes, and answers that are written piece by piece. */
#include "server/http/buffers.h"
#include "server/http/bytes.h"
#include "server/http/exchange.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KB = 1 << 10, MB = 1 << 20 };

START_TEST(test_rooms_are_powers_of_two)
{
    ck_assert_uint_eq(buffer_room(0), 4 * KB);
    ck_assert_uint_eq(buffer_room(1), 4 * KB);
    ck_assert_uint_eq(buffer_room(4 * KB), 4 * KB);
    ck_assert_uint_eq(buffer_room(4 * KB + 1), 8 * KB);
    ck_assert_uint_eq(buffer_room(33 * MB), 64 * MB);
    ck_assert_uint_eq(buffer_room(SIZE_MAX), SIZE_MAX);
    ck_assert_ptr_null(buffer_take(SIZE_MAX - 1));
}
END_TEST

START_TEST(test_a_buffer_comes_again)
{
    for (size_t size = 1; size <= BUFFER_KEPT_MAX; size *= 2) {
        void *buffer = buffer_take(size);
        memset(buffer, 1, size);
        buffer_give(buffer, size);
        ck_assert_ptr_eq(buffer_take(size), buffer);
        buffer_give(buffer, size);
    }
    buffer_give(NULL, 0);
}
END_TEST

/* Takes so many at a time, and gives them all back. Returns how many of them the stock had. */
static size_t use(size_t count, size_t size)
{
    void **buffers = calloc(count, sizeof *buffers);
    size_t kept = buffers_kept();

    for (size_t i = 0; i < count; i++)
        ck_assert_ptr_nonnull(buffers[i] = buffer_take(size));
    kept -= buffers_kept();
    for (size_t i = 0; i < count; i++)
        buffer_give(buffers[i], size);
    free(buffers);
    return kept / buffer_room(size);
}

START_TEST(test_what_is_kept_is_bounded)
{
    ck_assert_uint_eq(use(1000, 20 * KB), 0);
    ck_assert_uint_eq(buffers_kept(), BUFFERS_KEPT_MAX);
    ck_assert_uint_eq(use(1000, 20 * KB), BUFFERS_KEPT_MAX / (32 * KB));
    use(3, BUFFER_KEPT_MAX + 1);
    ck_assert_uint_eq(buffers_kept(), BUFFERS_KEPT_MAX);
}
END_TEST

/* What fitted beside it before, the stock has again. */
START_TEST(test_what_nobody_needs_makes_room)
{
    use(4, 4 * MB);
    for (int i = 0; i < 10000; i++)
        use(1, KB);
    use(500, 20 * KB);
    ck_assert_uint_eq(use(500, 20 * KB), 500);
    ck_assert_uint_eq(use(1, KB), 1);
    ck_assert_uint_le(buffers_kept(), BUFFERS_KEPT_MAX);
}
END_TEST

START_TEST(test_bytes_grow)
{
    static const size_t pieces[] = {0, 1, 3000, 4096, 70000, MB, 5 * MB, 11 * MB, 17};
    struct bytes bytes = {0};
    uint8_t *piece = malloc(11 * MB);
    size_t size = 0;

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        memset(piece, (int)i, pieces[i]);
        ck_assert(bytes_append(&bytes, piece, pieces[i]));
        ck_assert_uint_eq(bytes.size, size += pieces[i]);
        ck_assert_uint_ge(bytes.capacity, bytes.size);
    }
    for (size_t i = 0, at = 0; i < sizeof pieces / sizeof pieces[0]; at += pieces[i++]) {
        memset(piece, (int)i, pieces[i]);
        ck_assert(!memcmp(bytes.data + at, piece, pieces[i]));
    }
    bytes_free(&bytes);
    ck_assert(!bytes.data && !bytes.size && !bytes.capacity);
    free(piece);
}
END_TEST

/* Writes its own mark into buffers, and finds it there as long as it has them. */
static void *mark_buffers(void *mark)
{
    for (size_t i = 0; i < 3000; i++) {
        size_t size = (size_t)KB << i % 8, larger = size * 4;
        uint8_t *buffer = buffer_take(size);
        memset(buffer, *(uint8_t *)mark, size);
        buffer = buffer_grow(buffer, size, size, larger);
        for (size_t k = 0; k < size; k++)
            if (buffer[k] != *(uint8_t *)mark)
                return mark;
        buffer_give(buffer, larger);
    }
    return NULL;
}

START_TEST(test_threads_have_buffers_of_their_own)
{
    pthread_t threads[4];
    uint8_t marks[4] = {1, 2, 3, 4};
    void *wrong;

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, mark_buffers, &marks[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

START_TEST(test_answers)
{
    struct response response = {0};

    response_begin(&response, 200, "text/plain");
    ck_assert(response_append(&response, "", 0) && response.size == 0);
    ck_assert(response_append(&response, "ab", 2) && response_append(&response, "c", 1));
    ck_assert(response.status == 200 && response.size == 3 && !memcmp(response.body, "abc", 3));
    response_header(&response, "A", "%d", 1);
    response_header(&response, "Too-Long", "%*d", HEADER_VALUES_MAX, 1);
    response_header(&response, "B", "%s", "two");
    ck_assert_uint_eq(response.header_count, 2);
    ck_assert_str_eq(response.headers[0].value, "1");
    ck_assert_str_eq(response.headers[1].value, "two");

    response_static(&response, 404, "text/html", "no", 2);
    ck_assert(response.status == 404 && response.size == 2 && !strcmp(response.body, "no"));
    ck_assert(response.header_count == 0 && !response.text.data);
    for (int i = 0; i < RESPONSE_HEADERS_MAX + 1; i++)
        response_header(&response, "C", "%d", i);
    ck_assert_uint_eq(response.header_count, RESPONSE_HEADERS_MAX);
    response_clear(&response);
    ck_assert(response.status == 0 && !response.body && response.header_count == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 60);
    tcase_add_test(all, test_rooms_are_powers_of_two);
    tcase_add_test(all, test_a_buffer_comes_again);
    tcase_add_test(all, test_what_is_kept_is_bounded);
    tcase_add_test(all, test_what_nobody_needs_makes_room);
    tcase_add_test(all, test_bytes_grow);
    tcase_add_test(all, test_threads_have_buffers_of_their_own);
    tcase_add_test(all, test_answers);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
