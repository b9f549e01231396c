internal import Dispatch
internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// Ctrl-C: the first stops what is under way, the next one, or one while nothing can be stopped, ends the program with 130.
final class Interrupts: Sendable {
    static let shared = Interrupts()

    private struct State {
        var handler: (@Sendable () -> Void)?
        var wasInterrupted = false
    }

    private let state = Mutex(State())
    // Kept alive for the life of the program; set once.
    private nonisolated(unsafe) let source: any DispatchSourceSignal

    private init() {
        // Linux's Dispatch catches the signal itself; ignored signals would be lost until it does.
        #if canImport(Darwin)
        signal(SIGINT, SIG_IGN)
        #endif
        source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global(qos: .userInteractive))
        source.setEventHandler { Interrupts.shared.interrupt() }
        let isListening = DispatchSemaphore(value: 0)
        source.setRegistrationHandler { isListening.signal() }
        source.resume()
        isListening.wait()
    }

    /// From now on Ctrl-C calls `handler` once.
    func handle(_ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0 = State(handler: handler) }
    }

    /// Ctrl-C ends the program again.
    ///
    /// - Returns: Whether the handler was called.
    @discardableResult
    func stopHandling() -> Bool {
        state.withLock { state in
            let was = state.wasInterrupted
            state = State()
            return was
        }
    }

    private func interrupt() {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            defer { state.handler = nil }
            if state.handler != nil { state.wasInterrupted = true }
            return state.handler
        }
        guard let handler else {
            Output.writeError("\n")
            Output.exit(130)
        }
        handler()
    }
}
