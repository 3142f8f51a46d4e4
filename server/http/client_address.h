/* Who a client is, where proxies stand between him and us.
 *
 * Anybody can write an X-Forwarded-For header. It is believed only of a peer whose address is trusted, and of it only
 * what trusted proxies have appended: read from its right end, the first address that is not itself trusted is the
 * client's. Where an element is no address, or after FORWARDED_HOPS_MAX elements, the last good one has to do; so has
 * the left end's where all are trusted. An untrusted peer is the client, whatever its header says.
 *
 * All functions are thread-safe; a struct trusted does not change after trusted_parse. */
#ifndef SERVER_HTTP_CLIENT_ADDRESS_H
#define SERVER_HTTP_CLIENT_ADDRESS_H

#include "espalier/error.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

enum { TRUSTED_SUBNETS_MAX = 64, FORWARDED_HEADERS_MAX = 8, FORWARDED_HOPS_MAX = 32 };

struct subnet {
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;           /* from the left that count, of 128 */
};

/* All zero trusts nobody. */
struct trusted {
    struct subnet subnets[TRUSTED_SUBNETS_MAX];
    size_t count;
};

/* Reads addresses and networks with commas between, "10.0.0.0/8, ::1"; "" trusts nobody. ESP_ERROR_ARGUMENT: the text
 * names the element that is wrong and says how to write it. A network with bits set behind its mask (10.1.2.3/8) is
 * wrong, too: one of the two is a slip, and which one only the person knows. IPv4 addresses and their IPv6 form
 * (::ffff:10.0.0.1) are the same; an IPv6 network such as ::/0 holds no IPv4 address. */
enum esp_status trusted_parse(const char *list, struct trusted *trusted, struct esp_error *err);

/* The values of a request's X-Forwarded-For headers, which are one list. All zero has none. The values must live as
 * long as it. */
struct forwarded {
    const char *values[FORWARDED_HEADERS_MAX]; /* the last ones */
    size_t count;
};

/* To be called with each header in the order in which they came. */
void forwarded_add(struct forwarded *forwarded, const char *value);

/* Writes the client's address in digits; "" where the peer has no Internet address. Elements may have ports and
 * brackets: 192.0.2.7:80, [2001:db8::7], [2001:db8::7]:80. */
void client_address(const struct trusted *trusted, const struct sockaddr *peer, const struct forwarded *forwarded,
                    char text[INET6_ADDRSTRLEN]);

#endif
