# The image holds one static program and nothing else: no shell, no package manager, no root.
#
# There is no HEALTHCHECK, for it would need a program inside the image that asks: leave it to what runs the
# container, with GET /-/healthy (alive) and GET /-/ready (sees its metrics) on port 9847. deploy/ has examples.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/irdaemon ./cmd/irdaemon
# A volume mounted here for the first time takes over this folder's owner; distroless has no shell to change it.
RUN mkdir -p /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/irdaemon /irdaemon
COPY --from=build --chown=65532:65532 /out/data /var/lib/irdaemon
USER 65532:65532
VOLUME /var/lib/irdaemon
EXPOSE 9847
ENTRYPOINT ["/irdaemon"]
CMD ["run", "--config", "/etc/irdaemon/irdaemon.yaml"]
