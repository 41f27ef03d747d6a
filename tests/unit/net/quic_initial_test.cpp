#include "net/quic_initial.h"

#include <string>

#include <doctest/doctest.h>

#include "../gateway/quic_bytes.h"

namespace postern::net {
namespace {

// RFC 9001, appendix A.2.
constexpr std::string_view kRfcPacket =
    "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d"
    "92ec356c0bab7df5976d27cd449f63300099f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad"
    "67500cadb8e7378c8eb7539ec4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df621230c83711"
    "b39343fa028cea7f7fb5ff89eac2308249a02252155e2347b63d58c5457afd84d05dfffdb20392844ae81215"
    "4682e9cf012f9021a6f0be17ddd0c2084dce25ff9b06cde535d0f920a2db1bf362c23e596d11a4f5a6cf3948"
    "838a3aec4e15daf8500a6ef69ec4e3feb6b1d98e610ac8b7ec3faf6ad760b7bad1db4ba3485e8a94dc250ae3"
    "fdb41ed15fb6a8e5eba0fc3dd60bc8e30c5c4287e53805db059ae0648db2f64264ed5e39be2e20d82df566da"
    "8dd5998ccabdae053060ae6c7b4378e846d29f37ed7b4ea9ec5d82e7961b7f25a9323851f681d582363aa5f8"
    "9937f5a67258bf63ad6f1a0b1d96dbd4faddfcefc5266ba6611722395c906556be52afe3f565636ad1b17d50"
    "8b73d8743eeb524be22b3dcbc2c7468d54119c7468449a13d8e3b95811a198f3491de3e7fe942b330407abf8"
    "2a4ed7c1b311663ac69890f4157015853d91e923037c227a33cdd5ec281ca3f79c44546b9d90ca00f064c99e"
    "3dd97911d39fe9c5d0b23a229a234cb36186c4819e8b9c5927726632291d6a418211cc2962e20fe47feb3edf"
    "330f2c603a9d48c0fcb5699dbfe5896425c5bac4aee82e57a85aaf4e2513e4f05796b07ba2ee47d80506f8d2"
    "c25e50fd14de71e6c418559302f939b0e1abd576f279c4b2e0feb85c1f28ff18f58891ffef132eef2fa09346"
    "aee33c28eb130ff28f5b766953334113211996d20011a198e3fc433f9f2541010ae17c1bf202580f6047472f"
    "b36857fe843b19f5984009ddc324044e847a4f4a0ab34f719595de37252d6235365e9b84392b061085349d73"
    "203a4a13e96f5432ec0fd4a1ee65accdd5e3904df54c1da510b0ff20dcc0c77fcb2c0e0eb605cb0504db8763"
    "2cf3d8b4dae6e705769d1de354270123cb11450efc60ac47683d7b8d0f811365565fd98c4c8eb936bcab8d06"
    "9fc33bd801b03adea2e1fbc5aa463d08ca19896d2bf59a071b851e6c239052172f296bfb5e72404790a21810"
    "14f3b94a4e97d117b438130368cc39dbb2d198065ae3986547926cd2162f40a29f0c3c8745c0f50fba3852e5"
    "66d44575c29d39a03f0cda721984b6f440591f355e12d439ff150aab7613499dbd49adabc8676eef023b15b6"
    "5bfc5ca06948109f23f350db82123535eb8a7433bdabcb909271a6ecbcb58b936a88cd4e8f2e6ff5800175f1"
    "13253d8fa9ca8885c2f552e657dc603f252e1a8e308f76f0be79e2fb8f5d5fbbe2e30ecadd220723c8c0aea8"
    "078cdfcb3868263ff8f0940054da48781893a7e49ad5aff4af300cd804a6b6279ab3ff3afb64491c85194aab"
    "760d58a606654f9f4400e8b38591356fbf6425aca26dc85244259ff2b19c41b9f96f3ca9ec1dde434da7d2d3"
    "92b905ddf3d1f9af93d1af5950bd493f5aa731b4056df31bd267b6b90a079831aaf579be0a39013137aac6d4"
    "04f518cfd46840647e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44"
    "860018ab0856972e194cd934";

// Version 2 (RFC 9369), a packet number of one byte, a token, the ClientHello in three pieces out
// of order with a PING between them; made with another implementation.
constexpr std::string_view kPieces =
    "d56b3343cf080001020304050607036162634046747474747474747474747474747474747474747474747474"
    "7474747474747474747474747474747474747474747474747474747474747474747474747474747474747474"
    "747444548d6f67d560b3695307ec7c86c7ef14d38c0563fc19ce0848641074abc80dfbdd382616dedbd9ed67"
    "b8f216343a2aa57168481a1e2dd695ed2e358e2875795cb873f1ea8bee507ecc8e86dbdaabfc9088a285ed6a"
    "0061cbc299be310d8e6379b3e85b2fd83d4c294b93577546987934ef055efbaee508068679a21196c8ac772b"
    "1fda2b6c96ab48dd132f79b2654987b19f36296129b11f4f3beca7971c23342937bb5bef31d71c427467e798"
    "3f27ce0bda2cf4d270ad0be873e004e8585f5b7e70cec107350157525253b62904fe04918e36b678d36e1ea8"
    "869b630010ef9c6410b0b5aeb600f9f3b8889220697f9967dd1553a52aacc534050014ed7f75472dc3287569"
    "83fe03d8a55546a2c027986126702bd9a2511c4f8a6ed68d483b517953132c1fe3d0a7701f01d03ae83d05f7"
    "f9a2899c13ac469c8dddbe2a688426cfb1254ec14ce48852854c1400d97bb959b86ebcf1e44a7970c5b0a4bf"
    "1e0af5533ddfb01543f4492f0a6959ec01d54031a31140b48330e3def4fc4e43a39796cb248bf55d179036a3"
    "a397651dabb6b08936a89c92287039e183c81b6ddd8b5212ba8d7d5ef79bd83138e263ed50da193a3b022a8c"
    "dc108cca30025210231e1c58480f3d767a27e285c8707ea0ff0e777ee140e41b2bcd5331fd1a076ef24e39e6"
    "33021a2ea67cf7478ec67e53aecce2bd2eb1d79868b1abeb1f0ebdb226671cecb374160d7e5c0f3bab999ac0"
    "f2564f29cec6f624c0eb73000990339212191fcc3f7335c3d38b6f4f3713c9958e3d8043de2b47b59b925337"
    "46f67e04b2f1b1c5f56656171e6485287d7297d7b06b526684d81dcd078c3d244ceb17f2c27d30a96e7ac58c"
    "2aa8ec80b9331d8c6578ce688471e39f63cbe2db65e6a768a4362fdb74bcbdc683a96a5b9d12807345cdc6cc"
    "6126efc017a8b25b40c691aa5d108750ce289c0edabe59224be227d602c0d01b0e4e9b918a099fe3e24aa07d"
    "923bcba67652453940598cd03dadbba5aa720ed3119ec6ef4ff99f59bfc0e2f549740f87284f1f84df12a272"
    "3ab34323f56e4a94d8a763c77a0d7f979fbd70e513a23a8ebfd333d31efa042c571498b239bd83400ecacbf0"
    "40d948899888a70170a365aae0f2ee072c2f4816062ef16e0e32c280f8f63c0f4a23ac69f144fddaf44264ba"
    "7bcb88abda3df58005910b72be341f1311cae8154a80d4a7736f6a3e1ce9d1a62bebfd4c4b73145cfad5c4c2"
    "337c4f04556682d6cc252aa7b038d6363e14b09a89e97ae90beba6d404db5cc595b17f6376a1c8d8f32a9187"
    "2e6fc92d99741b11dae12a8167c65277efa8b48f62fc7bfa45416163b618d448c9a59ab4b54dfc76f8e2ff1c"
    "c1f6414a60c291589242c9931d02f641e03e9977e51e688f9ec9e471937ea437f82218a7b410cad5632b881a"
    "2e1193d5a7734eabe2cb89a1d89d61ab2f0fa965b738eaf1004327c1b7294e436142caea97c3ff8e831a978d"
    "65313dd7e7d622c37217bdbdd02ab3523cb2dbdbf4d4806ef9fa24c9a6c7a2fe82c90d366521d5ae03af5346"
    "5d6fccf071489391d3749bad";

std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

std::string name_of(const std::string& datagram) { return quic_server_name(as_bytes(datagram)); }

}  // namespace

TEST_CASE("the server name of the RFC's packet") {
  CHECK(name_of(from_hex(kRfcPacket)) == "example.com");
  CHECK(name_of(from_hex(kRfcPacket) + std::string(100, 'x')) == "example.com");  // coalesced
}

TEST_CASE("version 2, and a ClientHello in pieces") {
  CHECK(name_of(from_hex(kPieces)) == "llama.vanillax.me");
}

TEST_CASE("a ClientHello over two datagrams, in any order") {
  for (const auto& [first, second] : {std::pair{test::kHead, test::kRestWithName},
                                      std::pair{test::kHalfName, test::kOtherHalfName}}) {
    for (const bool swapped : {false, true}) {
      QuicHello hello;
      CHECK(hello.add(as_bytes(from_hex(swapped ? second : first))));
      CHECK_FALSE(hello.complete());
      CHECK(hello.add(as_bytes(from_hex(swapped ? first : second))));
      CHECK(hello.server_name() == "llama.vanillax.me");
      CHECK(hello.complete());
    }
  }
  CHECK(name_of(from_hex(test::kRestWithName)) == "llama.vanillax.me");
  for (const auto half : {test::kHead, test::kHalfName, test::kOtherHalfName}) {
    CHECK(name_of(from_hex(half)).empty());
  }
}

TEST_CASE("what cannot be read changes nothing, another connection begins anew") {
  QuicHello hello;
  CHECK(hello.add(as_bytes(from_hex(test::kHalfName))));
  CHECK_FALSE(hello.add(as_bytes(std::string(1200, 'x'))));
  CHECK_FALSE(hello.add({}));
  CHECK(hello.add(as_bytes(from_hex(test::kOtherHalfName))));
  CHECK(hello.server_name() == "llama.vanillax.me");
  CHECK(hello.add(as_bytes(from_hex(test::kHead))));
  CHECK(hello.server_name().empty());
  CHECK(hello.add(as_bytes(from_hex(test::kOtherHalfName))));
  CHECK(hello.server_name().empty());
}

TEST_CASE("what was changed on the way is not believed") {
  const std::string whole = from_hex(kRfcPacket);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    CHECK(name_of(changed).empty());
  }
}

TEST_CASE("what is cut off anywhere has no name") {
  for (const std::string_view hex : {kRfcPacket, kPieces}) {
    const std::string whole = from_hex(hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CHECK(name_of(whole.substr(0, size)).empty());
    }
  }
}

TEST_CASE("what is no Initial has no name") {
  CHECK(name_of("").empty());
  CHECK(name_of(std::string(1200, '\0')).empty());
  CHECK(name_of(std::string(1200, '\xff')).empty());
  std::string unknown = from_hex(kRfcPacket);
  unknown[4] = 7;  // of another version
  CHECK(name_of(unknown).empty());
}

}  // namespace postern::net
