// INITRT_SANITIZED: where a sanitizer that costs much is built in.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INITRT_SANITIZED 1
#endif
#endif
