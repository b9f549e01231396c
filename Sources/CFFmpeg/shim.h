// FFmpeg's libraries for Swift: macros it cannot import, and the few calls whose types changed between FFmpeg 4.4 and 8.
#ifndef CFFMPEG_SHIM_H
#define CFFMPEG_SHIM_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/sha.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
#include <string.h>

static const int CFFMPEG_ERROR_EOF = AVERROR_EOF;
static const int CFFMPEG_ERROR_AGAIN = AVERROR(EAGAIN);
static const int CFFMPEG_ERROR_EXIT = AVERROR_EXIT;
static const int CFFMPEG_ERROR_IO = AVERROR(EIO);
static const int CFFMPEG_ERROR_NO_MEMORY = AVERROR(ENOMEM);
static const int64_t CFFMPEG_NO_PTS = AV_NOPTS_VALUE;

#define CFFMPEG_CHANNEL_LAYOUTS (LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 28, 100))

/* ---- hashing ---- */

/* At most 2^30 bytes: the length was an unsigned int before libavutil 57. */
static inline void cffmpeg_sha_update(struct AVSHA *state, const uint8_t *bytes, size_t count) { av_sha_update(state, bytes, count); }

/* ---- limits ---- */

typedef struct {
    int64_t max_pixels;
    int64_t width, height;  /* of the picture that was refused; 0 if none was */
} cffmpeg_limit;

/* An AVCodecContext.get_buffer2 that refuses pictures of more than max_pixels (opaque is a cffmpeg_limit). */
static int cffmpeg_get_buffer(AVCodecContext *context, AVFrame *frame, int flags) {
    cffmpeg_limit *limit = (cffmpeg_limit *)context->opaque;
    if (limit && context->codec_type == AVMEDIA_TYPE_VIDEO && (int64_t)frame->width * frame->height > limit->max_pixels) {
        limit->width = frame->width;
        limit->height = frame->height;
        return AVERROR(ENOMEM);
    }
    return avcodec_default_get_buffer2(context, frame, flags);
}

/* An AVFormatContext.io_open that opens nothing: a file must not lead to other files. */
static int cffmpeg_refuse_open(
    AVFormatContext *context, AVIOContext **io, const char *url, int flags, AVDictionary **options) {
    (void)context; (void)io; (void)url; (void)flags; (void)options;
    return AVERROR(EPERM);
}

/* ---- frames ---- */

static inline const uint8_t *cffmpeg_plane(const AVFrame *frame, int index) { return frame->data[index]; }
static inline int cffmpeg_stride(const AVFrame *frame, int index) { return frame->linesize[index]; }

static inline int cffmpeg_channels(const AVFrame *frame) {
#if CFFMPEG_CHANNEL_LAYOUTS
    return frame->ch_layout.nb_channels;
#else
    return frame->channels;
#endif
}

static inline const char *cffmpeg_pixel_format_name(int format) {
    const char *name = av_get_pix_fmt_name((enum AVPixelFormat)format);
    return name ? name : "unknown";
}

/* The 3x3 display matrix of a video stream, NULL if it has none. */
static inline const int32_t *cffmpeg_display_matrix(const AVStream *stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 100)
    const AVPacketSideData *data = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data && data->size >= 36 ? (const int32_t *)data->data : NULL;
#else
#if LIBAVFORMAT_VERSION_MAJOR >= 59
    size_t size = 0;
#else
    int size = 0;
#endif
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 36 ? (const int32_t *)data : NULL;
#endif
}

/* ---- pixels ---- */

/* Converts `frame` to 8-bit RGBA or RGB, `channels` 4 or 3, rows without padding, with swscale's accurate settings.
   *cache keeps the converter between calls; free it with cffmpeg_free_scaler. */
static inline int cffmpeg_to_rgb(const AVFrame *frame, int channels, uint8_t *pixels, void **cache) {
    enum AVPixelFormat target = channels == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    struct SwsContext *scaler = sws_getCachedContext(
        (struct SwsContext *)*cache, frame->width, frame->height, (enum AVPixelFormat)frame->format, frame->width, frame->height,
        target, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT, NULL, NULL, NULL);
    *cache = scaler;
    if (!scaler) return AVERROR(EINVAL);
    /* Untagged video is BT.601 below 720 rows and BT.709 from there on, as players assume. */
    int space = frame->colorspace;
    if (space == AVCOL_SPC_UNSPECIFIED || space == AVCOL_SPC_RGB || space == AVCOL_SPC_RESERVED)
        space = frame->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    int full = frame->color_range == AVCOL_RANGE_JPEG || frame->format == AV_PIX_FMT_YUVJ420P || frame->format == AV_PIX_FMT_YUVJ422P
        || frame->format == AV_PIX_FMT_YUVJ444P || frame->format == AV_PIX_FMT_YUVJ440P;
    sws_setColorspaceDetails(
        scaler, sws_getCoefficients(space), full, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    /* swscale may write past the end of a row: it gets a padded picture of its own. */
    AVFrame *rgb = av_frame_alloc();
    if (!rgb) return AVERROR(ENOMEM);
    rgb->format = target;
    rgb->width = frame->width;
    rgb->height = frame->height;
    int status = av_frame_get_buffer(rgb, 0);
    if (status >= 0)
        status = sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, rgb->data, rgb->linesize);
    if (status >= 0)
        for (int y = 0; y < frame->height; y++) {
            size_t row = (size_t)frame->width * channels;
            memcpy(pixels + y * row, rgb->data[0] + (ptrdiff_t)y * rgb->linesize[0], row);
        }
    av_frame_free(&rgb);
    return status < 0 ? status : 0;
}

static inline void cffmpeg_free_scaler(void *cache) { sws_freeContext((struct SwsContext *)cache); }

/* ---- sound ---- */

/* A converter from frames like `frame` to one float32 channel at `rate` Hz; NULL if it cannot be had.
   One channel is the mean of all. Resampling: 64-tap Kaiser-windowed sinc (beta 12), exact phases, cutoff 0.96 of Nyquist. */
static inline void *cffmpeg_resampler_open(const AVFrame *frame, int rate) {
    int channels = cffmpeg_channels(frame);
    if (channels < 1 || channels > 32 || frame->sample_rate < 1) return NULL;
    SwrContext *resampler = NULL;
#if CFFMPEG_CHANNEL_LAYOUTS
    AVChannelLayout in, out;
    av_channel_layout_default(&in, channels);
    if (!in.nb_channels || in.order == AV_CHANNEL_ORDER_UNSPEC) {
        av_channel_layout_uninit(&in);
        av_channel_layout_from_mask(&in, (1ULL << channels) - 1);
    }
    av_channel_layout_default(&out, 1);
    if (swr_alloc_set_opts2(
            &resampler, &out, AV_SAMPLE_FMT_FLT, rate, &in, (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL) < 0)
        return NULL;
#else
    int64_t in = av_get_default_channel_layout(channels);
    if (!in) in = (int64_t)((1ULL << channels) - 1);
    resampler = swr_alloc_set_opts(
        NULL, AV_CH_LAYOUT_MONO, AV_SAMPLE_FMT_FLT, rate, in, (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL);
#endif
    if (!resampler) return NULL;
    av_opt_set_int(resampler, "filter_size", 64, 0);
    av_opt_set_int(resampler, "phase_shift", 10, 0);
    av_opt_set_int(resampler, "exact_rational", 1, 0);
    av_opt_set_int(resampler, "linear_interp", 1, 0);
    av_opt_set_double(resampler, "cutoff", 0.96, 0);
    av_opt_set(resampler, "filter_type", "kaiser", 0);
    av_opt_set_double(resampler, "kaiser_beta", 12, 0);
    if (channels > 1) {
        double mean[32];
        for (int c = 0; c < channels; c++) mean[c] = 1.0 / channels;
        if (swr_set_matrix(resampler, mean, channels) < 0) {
            swr_free(&resampler);
            return NULL;
        }
    }
    if (swr_init(resampler) < 0) swr_free(&resampler);
    return resampler;
}

/* Most samples the next `count` input samples can give (count 0: what is still inside). */
static inline int cffmpeg_resampler_bound(void *resampler, int count) { return swr_get_out_samples((SwrContext *)resampler, count); }

/* Converts `frame`, or what is still inside if it is NULL; the number of samples written. */
static inline int cffmpeg_resample(void *resampler, const AVFrame *frame, float *samples, int capacity) {
    uint8_t *out = (uint8_t *)samples;
    return swr_convert(
        (SwrContext *)resampler, &out, capacity, frame ? (const uint8_t **)frame->extended_data : NULL, frame ? frame->nb_samples : 0);
}

static inline void cffmpeg_resampler_close(void *resampler) {
    SwrContext *context = (SwrContext *)resampler;
    swr_free(&context);
}

#endif
