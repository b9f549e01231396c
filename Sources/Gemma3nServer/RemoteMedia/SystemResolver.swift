internal import NIOCore
internal import NIOPosix

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// The system's own knowledge of names.
enum SystemResolver {
    /// Looking up a name blocks, and a few threads of its own wait for it.
    private static let threads: NIOThreadPool = {
        let threads = NIOThreadPool(numberOfThreads: 4)
        threads.start()
        return threads
    }()

    /// Empty if the name is not known. A task that is cancelled waits no longer.
    static func addresses(of name: String) async throws -> [IPAddress] {
        let (answers, continuation) = AsyncStream<[IPAddress]>.makeStream()
        threads.submit { state in
            if state == .active { continuation.yield(lookUp(name)) }
            continuation.finish()
        }
        for await answer in answers { return answer }
        try Task.checkCancellation()
        return []
    }

    private static func lookUp(_ name: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_flags = AI_ADDRCONFIG
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = entry.pointee.ai_addr else { continue }
            switch entry.pointee.ai_family {
            case AF_INET: address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { add(SocketAddress($0.pointee)) }
            case AF_INET6: address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { add(SocketAddress($0.pointee)) }
            default: break
            }
        }
        func add(_ address: SocketAddress) {
            if let address = IPAddress(address), !addresses.contains(address) { addresses.append(address) }
        }
        return addresses
    }
}
