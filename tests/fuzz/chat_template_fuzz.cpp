// A chat template of any source, and conversations written with it where it is recognised.
#include <array>

#include "runtime/text/chat.h"
#include "tests/fuzz/fuzz.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string source = fuzz::text_of(data, bytes);
  ChatTemplate chat;
  fuzz::one_input("", [&] { chat = recognise_chat_template(source, {"<s>", "</s>"}); });
  if (!chat.write) return 0;
  const std::array messages = {Message{"system", " s\u3000"}, Message{"user", "\n u"},
                               Message{"assistant", "<think>\n</think>a"}, Message{"user", ""}};
  for (const std::size_t begin : {0, 1, 2, 3}) {
    fuzz::one_input("", [&] {
      const std::string text = render(chat, std::span(messages).subspan(begin));
      // A standing system message is the only part of the source that is written out.
      if (text.size() > source.size() + 1024) fuzz::finding("a text longer than its parts");
    });
  }
  if (chat.turn_end.empty()) fuzz::finding("a turn that nothing ends");
  return 0;
}
