// swift-tools-version: 6.2
import CompilerPluginSupport
import PackageDescription

/// Settings of every Swift target.
let common: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The core also compiles as Embedded Swift (see `Scripts/check-embedded.sh`).
let core: [SwiftSetting] = common

/// C kernels are compiled with optimisation that keeps IEEE semantics: no fast-math, no contraction,
/// so that every sum is exactly the one written.
let kernels: [CSetting] = [
    .define("NDEBUG", .when(configuration: .release)),
]

let package = Package(
    name: "gemma3n",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Gemma3n", targets: ["Gemma3n", "Gemma3nHost", "Constraints"]),
        .executable(name: "gemma3n", targets: ["Main"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // Core: no Foundation, no host.
        .target(name: "CKernels", cSettings: kernels),
        .target(name: "Tensors", dependencies: ["CKernels"], swiftSettings: core),
        .target(name: "Checkpoint", dependencies: ["Tensors"], swiftSettings: core),
        .target(name: "Tokenization", dependencies: ["Checkpoint", "Tensors"], swiftSettings: core),
        .target(name: "Constraints", dependencies: ["Tokenization", "Checkpoint"], swiftSettings: core),
        .target(name: "Gemma3n", dependencies: ["Constraints", "Tokenization", "Checkpoint", "Tensors", "CKernels"], swiftSettings: core),

        // Host: files, threads, media, sessions.
        .systemLibrary(
            name: "CFFmpeg",
            pkgConfig: "libavformat libavcodec libswscale libswresample libavutil",
            providers: [
                .apt(["libavformat-dev", "libavcodec-dev", "libswscale-dev", "libswresample-dev", "libavutil-dev"]),
                .brew(["ffmpeg"]),
            ]),
        .target(
            name: "Gemma3nHost",
            dependencies: ["Gemma3n", "Constraints", "Tokenization", "Checkpoint", "Tensors", "CKernels", "CFFmpeg"],
            swiftSettings: common),

        // Command line.
        .target(name: "CDemoModel", exclude: ["Model"]),
        .target(
            name: "Gemma3nCommands",
            dependencies: [
                "Gemma3n", "Gemma3nHost", "Tokenization", "Checkpoint", "Tensors", "CDemoModel",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: common),
        .executableTarget(name: "Main", dependencies: ["Gemma3nCommands"], swiftSettings: common),

        // Tests.
        .target(name: "CAllocations", path: "Tests/CAllocations"),
        .target(
            name: "TestSupport", dependencies: ["Gemma3n", "Gemma3nHost", "Tokenization", "Checkpoint", "Tensors"],
            path: "Tests/TestSupport", swiftSettings: common),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels"], swiftSettings: common),
        .testTarget(name: "CheckpointTests", dependencies: ["Checkpoint", "TestSupport"], swiftSettings: common),
        .testTarget(name: "TokenizationTests", dependencies: ["Tokenization", "TestSupport"], swiftSettings: common),
        .testTarget(name: "ConstraintsTests", dependencies: ["Constraints", "Checkpoint", "Tokenization", "TestSupport"], swiftSettings: common),
        .testTarget(name: "Gemma3nTests", dependencies: ["Gemma3n", "Constraints", "TestSupport", "CKernels"], swiftSettings: common),
        .testTarget(name: "Gemma3nHostTests", dependencies: ["Gemma3nHost", "TestSupport", "CAllocations"], swiftSettings: common),
        .testTarget(name: "CommandsTests", dependencies: ["Gemma3nCommands", "TestSupport"], swiftSettings: common),
    ],
    cLanguageStandard: .c17
)

// `@Generable`, apart: only who imports it builds swift-syntax. Its release build takes longer than all else together, so
// GEMMA3N_MACROS=0 leaves it out where nobody does, as the release tests do.
if Context.environment["GEMMA3N_MACROS"] != "0" {
    package.products.append(.library(name: "Gemma3nMacros", targets: ["Gemma3nMacros"]))
    package.dependencies.append(.package(url: "https://github.com/swiftlang/swift-syntax", "602.0.0"..<"604.0.0"))
    package.targets += [
        .macro(
            name: "Gemma3nMacroPlugin",
            dependencies: [
                .product(name: "SwiftSyntaxMacros", package: "swift-syntax"), .product(name: "SwiftCompilerPlugin", package: "swift-syntax"),
            ]),
        .target(name: "Gemma3nMacros", dependencies: ["Gemma3nHost", "Gemma3nMacroPlugin"], swiftSettings: common),
        .testTarget(name: "MacroTests", dependencies: ["Gemma3nMacros", "Gemma3nHost", "Checkpoint"], swiftSettings: common),
    ]
}

// `gemma3n serve`. Hummingbird and what it brings take longer to build than all else here: GEMMA3N_SERVER=0 leaves the command out.
if Context.environment["GEMMA3N_SERVER"] != "0" {
    package.dependencies += [
        // Without its traits: neither swift-configuration nor the full Foundation.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.10.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ]
    package.targets += [
        .target(name: "CServerPage"),
        .target(
            name: "Gemma3nServer",
            dependencies: [
                "CServerPage", "Gemma3nHost", "Gemma3n", "Constraints", "Tokenization", "Checkpoint", "Tensors",
                .product(name: "HummingbirdCore", package: "hummingbird"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"), .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "NIOTLS", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            exclude: ["Page"], swiftSettings: common),
        .testTarget(
            name: "Gemma3nServerTests",
            dependencies: [
                "Gemma3nServer", "Gemma3nHost", "Checkpoint", "TestSupport", .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"), .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: common),
    ]
    for target in package.targets where target.name == "Gemma3nCommands" {
        target.dependencies.append("Gemma3nServer")
        target.swiftSettings?.append(.define("SERVER"))
    }
}
