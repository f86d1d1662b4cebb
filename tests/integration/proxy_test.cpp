#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// Devices of type proxy, with other people's clients and servers on both sides.

namespace ctl::testing {
namespace {

const std::string head =
    busybox_ground("proxies") +
    R"(networks: [{name: br0, config: {ipv4.address: 10.70.0.1/24, ipv4.dhcp: false, ipv6.address: none}}]
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, network: br0, ipv4.address: 10.70.0.11}
)";

struct Proxies : Lab {
    std::set<std::string> before = traces();

    [[nodiscard]] std::string file(const std::string& devices) const { return write("stack.yaml", head + devices); }
    void must_have(const std::string& devices) const { must_apply(file(devices)); }
    /// Something in the container that answers each connection with a line.
    void serve(const std::string& port, const std::string& word) const {
        must(program + " exec web -- sh -c 'nc -ll -p " + port + " -e echo " + word + " > /dev/null 2>&1 &'; " +
             shell_until("nsenter --net=/run/ctl/namespaces/web/net ss -Hltn 'sport = :" + port + "' | grep -q LISTEN"));
    }
    /// What a TCP client on the host reads.
    [[nodiscard]] std::string read_from(const std::string& address, const std::string& port) const {
        return line("timeout 10 bash -c 'exec 3<> /dev/tcp/" + address + "/" + port + "; cat <&3' 2>&1 || true");
    }
};

}  // namespace

TEST_CASE("a port of the host leads into the container, also after it restarted and when ctl is long gone") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Proxies host;
    host.must_have("    http: {type: proxy, listen: 'tcp:127.0.0.1:8080', connect: 'tcp:127.0.0.1:80'}\n");
    host.serve("80", "hello");
    CHECK(host.read_from("127.0.0.1", "8080") == "hello");
    host.must(program + " restart web");
    host.serve("80", "again");
    CHECK(host.read_from("127.0.0.1", "8080") == "again");
    CHECK(host.plan(host.file("    http: {type: proxy, listen: 'tcp:127.0.0.1:8080', connect: 'tcp:127.0.0.1:80'}\n"))
              .exit_code == 0);
    SUBCASE("a forwarder that dies comes back with the next apply") {
        host.must("pkill -KILL -x ctl-proxy");
        CHECK(host.planned(host.file("    http: {type: proxy, listen: 'tcp:127.0.0.1:8080', connect: 'tcp:127.0.0.1:80'}\n"))
                  .size() == 1);
        host.must_have("    http: {type: proxy, listen: 'tcp:127.0.0.1:8080', connect: 'tcp:127.0.0.1:80'}\n");
        CHECK(host.read_from("127.0.0.1", "8080") == "again");
    }
    SUBCASE("another address is listened on while the container runs") {
        const std::string init = host.init_pid("web");
        host.must_have("    http: {type: proxy, listen: 'tcp:127.0.0.1:8081', connect: 'tcp:127.0.0.1:80'}\n");
        CHECK(host.read_from("127.0.0.1", "8081") == "again");
        CHECK(host.read_from("127.0.0.1", "8080").find("refused") != std::string::npos);
        CHECK(host.init_pid("web") == init);
    }
    SUBCASE("without it nothing of it is left") {
        host.must_have("");
        CHECK(host.read_from("127.0.0.1", "8080").find("refused") != std::string::npos);
        CHECK(host.line("pgrep -xc ctl-proxy || true") == "0");
    }
    host.must_delete(host.file(""));
    CHECK(host.line("pgrep -xc ctl-proxy || true") == "0");
    CHECK(host.line("ls /run/ctl/proxies 2> /dev/null | wc -l") == "0");
    host.check_nothing_left(host.before);
}

TEST_CASE("large and many connections come through whole, both ways") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Proxies host;
    host.must_have("    echo: {type: proxy, listen: 'tcp:127.0.0.1:7000', connect: 'tcp:10.70.0.11:7'}\n");
    const std::string server = R"py(
import socketserver, socket
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536): self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128; daemon_threads = True
server = Server(("10.70.0.11", 7), Echo); print("up", flush=True); server.serve_forever()
)py";
    host.must("nsenter --net=/run/ctl/namespaces/web/net python3 " + host.write("server.py", server) +
              " > /run/server.log 2>&1 & " + shell_until("grep -q up /run/server.log"));
    const std::string client = R"py(
import socket, threading, os, hashlib
def one(size):
    data = os.urandom(size)
    s = socket.create_connection(("127.0.0.1", 7000)); got = b""
    t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))); t.start()
    while True:
        part = s.recv(65536)
        if not part: break
        got += part
    t.join(); assert got == data, (len(got), len(data))
one(5000000)
threads = [threading.Thread(target=one, args=(20000,)) for _ in range(30)]
failed = []
threading.excepthook = lambda args: failed.append(args)
[t.start() for t in threads]; [t.join() for t in threads]
print("failed" if failed else "whole")
)py";
    CHECK(host.line("python3 " + host.write("client.py", client)) == "whole");
}

TEST_CASE("datagrams, Unix sockets and ports in ranges are handed on") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Proxies host;
    host.must_have(R"(    udp: {type: proxy, listen: 'udp:127.0.0.1:5300', connect: 'udp:127.0.0.1:53'}
    file: {type: proxy, listen: 'unix:/run/web.sock', connect: 'tcp:127.0.0.1:80', mode: '0660', uid: 65534, gid: 1}
    abstract: {type: proxy, listen: 'tcp:127.0.0.1:8090', connect: 'unix:@inside'}
    range: {type: proxy, listen: 'tcp:127.0.0.1:9000-9001,9005', connect: 'tcp:127.0.0.1:80-82'}
    out: {type: proxy, bind: container, listen: 'tcp:127.0.0.1:6000', connect: 'tcp:127.0.0.1:6001'}
    nobody: {type: proxy, listen: 'tcp:127.0.0.1:8070', connect: 'tcp:127.0.0.1:80', security.uid: 65534, security.gid: 65534}
)");
    host.serve("80", "zero");
    host.serve("81", "one");
    host.serve("82", "two");
    CHECK(host.read_from("127.0.0.1", "9000") == "zero");
    CHECK(host.read_from("127.0.0.1", "9001") == "one");
    CHECK(host.read_from("127.0.0.1", "9005") == "two");
    CHECK(host.read_from("127.0.0.1", "8070") == "zero");
    CHECK(host.line("pgrep -xc -u 65534 ctl-proxy") == "1");
    CHECK(host.line("stat -c '%u:%g %a' /run/web.sock") == "65534:1 660");
    CHECK(host.line("python3 -c \"import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/web.sock'); "
                    "print(s.recv(99).decode())\"") == "zero");
    const std::string inside = "nsenter --net=/run/ctl/namespaces/web/net python3 -c ";
    CHECK(host.line(inside +
                    "\"\nimport socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); "
                    "s.bind(('127.0.0.1',53))\nprint('up',flush=True)\n"
                    "for i in range(2):\n  d,a=s.recvfrom(999); s.sendto(d.upper(),a)\n\" > /run/udp.log & " +
                    shell_until("grep -q up /run/udp.log") +
                    "; python3 -c \"\nimport socket\nfor w in (b'a',b'b'):\n  "
                    "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(10); "
                    "s.sendto(w,('127.0.0.1',5300)); print(s.recv(9).decode(),end='')\n\"; wait") == "AB");
    CHECK(
        host.line(
            inside +
            "\"\nimport socket\ns=socket.socket(socket.AF_UNIX); s.bind('\\\\0inside'); s.listen(); print('up',flush=True)\n"
            "c,_=s.accept(); c.send(b'abstract'); c.close()\n\" > /run/abs.log & " +
            shell_until("grep -q up /run/abs.log") +
            "; timeout 10 bash -c 'exec 3<> /dev/tcp/127.0.0.1/8090; cat <&3'; wait") == "abstract");
    CHECK(host.line("python3 -c \"\nimport socket\ns=socket.create_server(('127.0.0.1',6001)); "
                    "print('up',flush=True)\nc,_=s.accept(); c.send(b'host'); "
                    "c.close()\n\" > /run/out.log & " +
                    shell_until("grep -q up /run/out.log") + "; " + program + " exec web -- nc 127.0.0.1 6000; wait") ==
          "host");
    host.must_delete(host.file(""));
    CHECK(host.line("test -e /run/web.sock && echo left || true").empty());
}

TEST_CASE("the server is told who connects, where the PROXY header is asked for") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Proxies host;
    host.must_have(
        "    http: {type: proxy, listen: 'tcp:127.0.0.1:8080', connect: 'tcp:127.0.0.1:80', proxy_protocol: true}\n");
    host.must(program + " exec web -- sh -c 'nc -ll -p 80 -e head -n 1 > /dev/null 2>&1 &'");
    host.must(
        shell_until("timeout 5 bash -c 'exec 3<> /dev/tcp/127.0.0.1/8080; read -t 5 y <&3 && test -n \"$y\"' 2> /dev/null"));
    CHECK(host.read_from("127.0.0.1", "8080").starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "));
}

TEST_CASE("with nat the host translates, and no process stands between") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Proxies host;
    host.add_lan("ens33", {"192.0.2.1/24"}, {"192.0.2.2/24"});
    host.must_have("    http: {type: proxy, nat: true, listen: 'tcp:192.0.2.1:8080-8081', connect: 'tcp:0.0.0.0:80-81'}\n");
    host.serve("80", "zero");
    host.serve("81", "one");
    CHECK(host.line("pgrep -xc ctl-proxy || true") == "0");
    CHECK(host.read_from("192.0.2.1", "8080") == "zero");
    CHECK(trimmed(host.lan_sh("timeout 10 bash -c 'exec 3<> /dev/tcp/192.0.2.1/8081; cat <&3'").out) == "one");
    host.must_delete(host.file(""));
    CHECK(host.line("nft list tables | grep -c ctl_proxy || true") == "0");
}

TEST_CASE("proxies that can't be are refused with their place") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Proxies host;
    struct Case {
        std::string keys;
        std::string at;  ///< what the message points at
        std::string says;
    };
    for (const auto& [keys, at, says] :
         {Case{"listen: 'tcp:127.0.0.1:80'", "bad", "has no connect"},
          Case{"listen: 'tcp:127.0.0.1', connect: 'tcp:127.0.0.1:80'", "'tcp:127.0.0.1',", "is no place to listen to"},
          Case{"listen: 'tcp:127.0.0.1:80', connect: 'tcp:127.0.0.1:80-81'", "'tcp:127.0.0.1:80-81'",
               "1 ports listen and 2 are connected to"},
          Case{"listen: 'udp:127.0.0.1:80', connect: 'tcp:127.0.0.1:81'", "'tcp:127.0.0.1:81'",
               "datagrams can only be handed on as datagrams"},
          Case{"listen: 'tcp:127.0.0.1:80', connect: 'tcp:127.0.0.1:80', mode: '0600'", "'0600'",
               "mode is of a socket in the file system"},
          Case{"listen: 'udp:127.0.0.1:80', connect: 'udp:127.0.0.1:80', proxy_protocol: true", "true",
               "the PROXY header is for TCP"},
          Case{"listen: 'tcp:0.0.0.0:80', connect: 'tcp:10.70.0.11:80', nat: true", "'tcp:0.0.0.0:80'",
               "with nat it has to listen on an address of the host"},
          Case{"listen: 'tcp:192.0.2.1:80', connect: 'tcp:10.70.0.99:80', nat: true", "'tcp:10.70.0.99:80'",
               "with nat it has to lead to a fixed address of a NIC of container \"web\""},
          Case{"listen: 'tcp:192.0.2.1:80', connect: 'tcp:10.70.0.11:80', nat: true, bind: instance", "instance",
               "with nat it listens on the host"},
          Case{"listen: 'unix:/run/a', connect: 'tcp:10.70.0.11:80', nat: true", "true",
               "addresses can only be translated from tcp to tcp or from udp to udp"}}) {
        const std::string device = "    bad: {type: proxy, " + keys + "}";
        const std::string file = host.file(device + "\n");
        const Output refused = host.Sandbox::ctl({"validate", "-f", file});
        CHECK_MESSAGE(refused.exit_code == 3, device);
        const auto line = std::ranges::count(head, '\n') + 1;
        const std::string place = fmt::format("{}:{}:{}: error: ", file, line, device.find(at) + 1);
        CHECK_MESSAGE(has(refused.err, place), place, " is not in: ", refused.err);
        CHECK_MESSAGE(has(refused.err, says), refused.err);
    }
    SUBCASE("a port that is taken is said when it is applied") {
        host.must(
            "python3 -c \"\nimport socket,time\ns=socket.create_server(('127.0.0.1',8080)); print('up',flush=True); "
            "time.sleep(1000)\n\" > /run/t.log & " +
            shell_until("grep -q up /run/t.log"));
        const Output taken =
            host.apply(host.file("    http: {type: proxy, listen: 'tcp:127.0.0.1:8080', connect: 'tcp:127.0.0.1:80'}\n"));
        CHECK(taken.exit_code != 0);
        CHECK(taken.err.find("can't listen on tcp:127.0.0.1:8080: Address already in use") != std::string::npos);
    }
}

}  // namespace ctl::testing
