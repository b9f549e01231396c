#include "include/cserverpage.h"

// The files of the server's page become part of the program; ../Gemma3nServer/Page holds them. A test finds out whether any is left out.
// `#embed` is C23; clang offers it in older C as an extension.
#pragma clang diagnostic ignored "-Wc23-extensions"

#define FILE_ENTRY(name, array) {name, array, sizeof array}

static const unsigned char app_js[] = {
#embed "../Gemma3nServer/Page/app.js"
};
static const unsigned char attachments_js[] = {
#embed "../Gemma3nServer/Page/attachments.js"
};
static const unsigned char bytes_js[] = {
#embed "../Gemma3nServer/Page/bytes.js"
};
static const unsigned char calculator_js[] = {
#embed "../Gemma3nServer/Page/calculator.js"
};
static const unsigned char camera_js[] = {
#embed "../Gemma3nServer/Page/camera.js"
};
static const unsigned char code_js[] = {
#embed "../Gemma3nServer/Page/code.js"
};
static const unsigned char composer_js[] = {
#embed "../Gemma3nServer/Page/composer.js"
};
static const unsigned char conversation_js[] = {
#embed "../Gemma3nServer/Page/conversation.js"
};
static const unsigned char dialogue_js[] = {
#embed "../Gemma3nServer/Page/dialogue.js"
};
static const unsigned char dom_js[] = {
#embed "../Gemma3nServer/Page/dom.js"
};
static const unsigned char engine_js[] = {
#embed "../Gemma3nServer/Page/engine.js"
};
static const unsigned char events_js[] = {
#embed "../Gemma3nServer/Page/events.js"
};
static const unsigned char history_js[] = {
#embed "../Gemma3nServer/Page/history.js"
};
static const unsigned char icon_svg[] = {
#embed "../Gemma3nServer/Page/icon.svg"
};
static const unsigned char index_html[] = {
#embed "../Gemma3nServer/Page/index.html"
};
static const unsigned char inline_js[] = {
#embed "../Gemma3nServer/Page/inline.js"
};
static const unsigned char keydialog_js[] = {
#embed "../Gemma3nServer/Page/keydialog.js"
};
static const unsigned char markdown_js[] = {
#embed "../Gemma3nServer/Page/markdown.js"
};
static const unsigned char media_js[] = {
#embed "../Gemma3nServer/Page/media.js"
};
static const unsigned char message_js[] = {
#embed "../Gemma3nServer/Page/message.js"
};
static const unsigned char notices_js[] = {
#embed "../Gemma3nServer/Page/notices.js"
};
static const unsigned char openai_js[] = {
#embed "../Gemma3nServer/Page/openai.js"
};
static const unsigned char optionspanel_js[] = {
#embed "../Gemma3nServer/Page/optionspanel.js"
};
static const unsigned char panels_js[] = {
#embed "../Gemma3nServer/Page/panels.js"
};
static const unsigned char partial_js[] = {
#embed "../Gemma3nServer/Page/partial.js"
};
static const unsigned char recorder_worklet_js[] = {
#embed "../Gemma3nServer/Page/recorder-worklet.js"
};
static const unsigned char recorder_js[] = {
#embed "../Gemma3nServer/Page/recorder.js"
};
static const unsigned char server_js[] = {
#embed "../Gemma3nServer/Page/server.js"
};
static const unsigned char settings_js[] = {
#embed "../Gemma3nServer/Page/settings.js"
};
static const unsigned char sidebar_js[] = {
#embed "../Gemma3nServer/Page/sidebar.js"
};
static const unsigned char sizes_js[] = {
#embed "../Gemma3nServer/Page/sizes.js"
};
static const unsigned char statistics_js[] = {
#embed "../Gemma3nServer/Page/statistics.js"
};
static const unsigned char structured_js[] = {
#embed "../Gemma3nServer/Page/structured.js"
};
static const unsigned char style_css[] = {
#embed "../Gemma3nServer/Page/style.css"
};
static const unsigned char theme_js[] = {
#embed "../Gemma3nServer/Page/theme.js"
};
static const unsigned char toolcard_js[] = {
#embed "../Gemma3nServer/Page/toolcard.js"
};
static const unsigned char tools_js[] = {
#embed "../Gemma3nServer/Page/tools.js"
};
static const unsigned char transcript_js[] = {
#embed "../Gemma3nServer/Page/transcript.js"
};
static const unsigned char transfer_js[] = {
#embed "../Gemma3nServer/Page/transfer.js"
};
static const unsigned char tree_js[] = {
#embed "../Gemma3nServer/Page/tree.js"
};
static const unsigned char wave_js[] = {
#embed "../Gemma3nServer/Page/wave.js"
};

static const cserverpage_file files[] = {
    FILE_ENTRY("app.js", app_js),
    FILE_ENTRY("attachments.js", attachments_js),
    FILE_ENTRY("bytes.js", bytes_js),
    FILE_ENTRY("calculator.js", calculator_js),
    FILE_ENTRY("camera.js", camera_js),
    FILE_ENTRY("code.js", code_js),
    FILE_ENTRY("composer.js", composer_js),
    FILE_ENTRY("conversation.js", conversation_js),
    FILE_ENTRY("dialogue.js", dialogue_js),
    FILE_ENTRY("dom.js", dom_js),
    FILE_ENTRY("engine.js", engine_js),
    FILE_ENTRY("events.js", events_js),
    FILE_ENTRY("history.js", history_js),
    FILE_ENTRY("icon.svg", icon_svg),
    FILE_ENTRY("index.html", index_html),
    FILE_ENTRY("inline.js", inline_js),
    FILE_ENTRY("keydialog.js", keydialog_js),
    FILE_ENTRY("markdown.js", markdown_js),
    FILE_ENTRY("media.js", media_js),
    FILE_ENTRY("message.js", message_js),
    FILE_ENTRY("notices.js", notices_js),
    FILE_ENTRY("openai.js", openai_js),
    FILE_ENTRY("optionspanel.js", optionspanel_js),
    FILE_ENTRY("panels.js", panels_js),
    FILE_ENTRY("partial.js", partial_js),
    FILE_ENTRY("recorder-worklet.js", recorder_worklet_js),
    FILE_ENTRY("recorder.js", recorder_js),
    FILE_ENTRY("server.js", server_js),
    FILE_ENTRY("settings.js", settings_js),
    FILE_ENTRY("sidebar.js", sidebar_js),
    FILE_ENTRY("sizes.js", sizes_js),
    FILE_ENTRY("statistics.js", statistics_js),
    FILE_ENTRY("structured.js", structured_js),
    FILE_ENTRY("style.css", style_css),
    FILE_ENTRY("theme.js", theme_js),
    FILE_ENTRY("toolcard.js", toolcard_js),
    FILE_ENTRY("tools.js", tools_js),
    FILE_ENTRY("transcript.js", transcript_js),
    FILE_ENTRY("transfer.js", transfer_js),
    FILE_ENTRY("tree.js", tree_js),
    FILE_ENTRY("wave.js", wave_js),
};

cserverpage_file cserverpage_file_at(int index) {
    if (index < 0 || index >= (int)(sizeof files / sizeof files[0])) return (cserverpage_file){0};
    return files[index];
}
