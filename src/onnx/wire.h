/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - a look at the protobuf wire format before anything is unpacked. */
#ifndef PRI_WIRE_H
#define PRI_WIRE_H

#include "base/base.h"

/* Deep enough for every exporter, and for the unpacker's stack. */
enum { PRI_ONNX_MAX_NESTING = 64 };

/* Checks that the bytes are a well-formed protobuf message whose graph nesting (messages that
 * contain messages by the schema of ONNX) is at most `max_depth` deep; the unpacker recurses
 * without a limit of its own. */
pare_status pri_wire_check(pare_context *ctx, const unsigned char *bytes, size_t size_bytes,
                           int max_depth);

#endif
